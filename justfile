# The front door. `just` alone lists what can be done; docs/CONTRACTS.md says what each recipe promises.

host := "build/host"

[private]
default:
    @just --list --unsorted

# Make the image of a function: a workspace package or an example; flags as in docs/CONTRACTS.md, section 4
[group('build')]
image *ARGS:
    {{ host }} microimage image {{ ARGS }}

# Make the same image with Docker Engine, from the same recipe and the ELF that `just image` staged
[group('build')]
image-docker FUNCTION='function-template' TAG='firstbyte:docker':
    {{ host }} microimage image --stage-only {{ FUNCTION }}
    DOCKER_BUILDKIT=0 docker build --quiet -f scratch.Dockerfile -t {{ TAG }} .

# Measure where the cold start of the image goes: pull, unpack, create, start. `baselines`: the echo beside images that people know
[group('measure')]
bench-coldstart *FLAGS:
    {{ host }} microimage image {{ if FLAGS =~ '^baselines' { 'echo' } else { '' } }}
    {{ host }} coldstart {{ FLAGS }}

# Another bench: `just bench start` (exec to first byte) or `just bench throughput`; flags follow
[group('measure')]
bench NAME='start' *FLAGS:
    {{ host }} {{ NAME }} {{ FLAGS }}

# Keep a run with its machine under benches/record, to compare with later (`--baseline FILE`)
[group('measure')]
record FILE='target/coldstart/results.json' *FLAGS:
    {{ host }} coldstart record {{ FILE }} {{ FLAGS }}

# Make a new function, a project of its own at PATH: --event, --web, --apigw, --timer, --cos or --ckafka
[group('work')]
[no-cd]
new PATH *FLAGS:
    '{{ justfile_directory() }}'/build/host firstbyte new --firstbyte '{{ justfile_directory() }}' '{{ PATH }}' {{ FLAGS }}

# Install what a new function's own justfile calls: microimage, coldstart and firstbyte, where `cargo install` puts programs
[group('work')]
tools:
    cargo build --quiet --locked --profile host --workspace --bin microimage --bin coldstart --bin firstbyte
    install -D -t "${CARGO_INSTALL_ROOT:-${CARGO_HOME:-$HOME/.cargo}}/bin" "${CARGO_TARGET_DIR:-target}"/host/microimage "${CARGO_TARGET_DIR:-target}"/host/coldstart "${CARGO_TARGET_DIR:-target}"/host/firstbyte

# Run a function on this machine: 127.0.0.1:9000
[group('work')]
run FUNCTION='function-template':
    FIRSTBYTE_ADDR=${FIRSTBYTE_ADDR:-127.0.0.1:9000} cargo run --package {{ FUNCTION }}

# Invoke a function as the platform would: a sample (`just invoke --list`), a file, `-` for stdin, or `--web GET /path`
[group('work')]
invoke *ARGS:
    {{ host }} firstbyte invoke {{ ARGS }}

# Check the image against the platform's documented rules
[group('ship')]
check *FLAGS: image
    {{ host }} microimage check {{ FLAGS }} target/image/oci

# Deploy what template/function.toml says, with tccli; `--dry-run` prints what would be called
[group('ship')]
deploy *FLAGS:
    {{ host }} firstbyte deploy --project template {{ FLAGS }}

# Push the image that `just image` made to a registry
[group('ship')]
push REFERENCE *FLAGS:
    {{ host }} microimage push {{ FLAGS }} {{ REFERENCE }}

# Every test of every room
[group('work')]
test *FLAGS:
    cargo test --workspace --profile host {{ FLAGS }}

# What continuous integration runs
[group('work')]
ci:
    .ci/run
