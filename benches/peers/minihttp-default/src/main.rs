//! may_minihttp, may and mimalloc exactly as they come.

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    minihttp::serve()
}
