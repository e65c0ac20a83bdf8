//! Peer with may_minihttp, may and mimalloc, all with their default settings.

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    minihttp::serve()
}
