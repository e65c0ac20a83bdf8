# Commands of the project. `just` alone lists them; docs/CONTRACTS.md has the guarantees of each recipe.

# Arguments reach a program as they were typed, with their quotes: with `{{ ARGS }}` the shell would parse them again.
set positional-arguments
set quiet

host := "build/host"

[private]
default:
    @just --list --unsorted

# Make the image of a function: a workspace package or an example; flags as in docs/CONTRACTS.md, section 4
[group('build')]
image *ARGS:
    {{ host }} microimage image "$@"
    @case " $* " in *' -h '* | *' --help '* | *' --stage-only '*) ;; *) for word; do printf '%s\0' "$word"; done > target/image/asked ;; esac

# Make the image with the arguments of the last `just image`; the template's image if there was none
[private]
made:
    @[ ! -s target/image/asked ] || echo "as last asked for: just image $(tr '\0' ' ' < target/image/asked)"
    @cat target/image/asked 2> /dev/null | xargs -0 {{ host }} microimage image

# Make the same image with Docker Engine, from the same recipe and the ELF that `just image` staged
[group('build')]
image-docker FUNCTION='function-template' TAG='firstbyte:docker':
    {{ host }} microimage image --stage-only "$1"
    DOCKER_BUILDKIT=0 docker build --quiet -f scratch.Dockerfile -t "$2" .

# Measure the parts of the image's cold start: pull, unpack, create, start. `--image` measures another image, `baselines` the echo beside well-known kinds of images
[group('measure')]
bench-coldstart *FLAGS:
    @{{ host }} --build microimage coldstart
    @{{ if FLAGS =~ '^baselines' { host + ' microimage image echo' } else if FLAGS =~ '--image' { ':' } else { quote(just_executable()) + ' made' } }}
    {{ host }} coldstart "$@"

# Plan capacity by simulation: cold share, latency and cost of a rate, and how many provisioned instances a target needs (docs/capacity.md)
[group('measure')]
plan *FLAGS:
    {{ host }} coldstart plan "$@"

# Another bench: `just bench start` (exec to first byte), `just bench throughput`, or `just bench peers` (a good client beside slow ones); flags follow
[group('measure')]
bench NAME='start' *FLAGS:
    case "$1" in peers) shift && benches/throughput/peers/bench "$@" ;; *) {{ host }} "$@" ;; esac

# Keep a run with its machine under benches/record, to compare with later (`--baseline FILE`)
[group('measure')]
record FILE='target/coldstart/results.json' *FLAGS:
    {{ host }} coldstart record "$@"

# Make a new function, a project of its own at PATH: --event, --web, --websocket, --apigw, --timer, --cos or --ckafka
[group('work')]
[no-cd]
new PATH *FLAGS:
    '{{ justfile_directory() }}'/build/host firstbyte new --firstbyte '{{ justfile_directory() }}' "$@"

# Install the programs that a new function's justfile calls: microimage, coldstart and firstbyte, in cargo's folder for programs
[group('work')]
tools:
    {{ host }} --build microimage coldstart firstbyte
    install -D -t "${CARGO_INSTALL_ROOT:-${CARGO_HOME:-$HOME/.cargo}}/bin" "${CARGO_TARGET_DIR:-target}"/host/microimage "${CARGO_TARGET_DIR:-target}"/host/coldstart "${CARGO_TARGET_DIR:-target}"/host/firstbyte

# Run a function by itself, without the platform: 127.0.0.1:9000 (a new project's `just run` is behind the platform, on 9001)
[group('work')]
run FUNCTION='function-template':
    FIRSTBYTE_ADDR=${FIRSTBYTE_ADDR:-127.0.0.1:9000} cargo run --package "$1"

# Invoke a function as the platform would: a sample (`just invoke --list`), a file, `-` for stdin, or `--web GET /path`
[group('work')]
invoke *ARGS:
    {{ host }} firstbyte invoke "$@"

# Check the image against the platform's documented rules
[group('ship')]
check *FLAGS: made
    {{ host }} microimage check "$@"

# Deploy the template as template/function.toml describes it, with tccli; `--dry-run` prints the API calls
[group('ship')]
deploy *FLAGS:
    {{ host }} firstbyte deploy --project template "$@"

# Push the image that `just image` made to a registry, and print the reference to deploy
[group('ship')]
push REFERENCE *FLAGS:
    {{ host }} microimage push "$@"

# Run all tests
[group('work')]
test *FLAGS:
    cargo test --workspace --profile host "$@"

# Run what continuous integration runs
[group('work')]
ci:
    .ci/run
