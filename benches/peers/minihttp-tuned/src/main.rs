//! Peer with may_minihttp, tuned for a fast start: one worker, one pooled stack, no polling, and a
//! mimalloc that does not request huge pages.

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    may::config().set_workers(1).set_pool_capacity(1).set_worker_pin(false);
    minihttp::serve()
}
