//! may_minihttp as someone would tune it who cares about the start: one worker, one pooled stack,
//! no polling, and a mimalloc that does not ask for huge pages.

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    may::config().set_workers(1).set_pool_capacity(1).set_worker_pin(false);
    minihttp::serve()
}
