# The front door. `just` alone lists what can be done; docs/CONTRACTS.md says what each recipe promises.

host := "cargo run --quiet --profile host --package"

[private]
default:
    @just --list --unsorted

# Make the image of a function: a workspace package or an example; flags as in docs/CONTRACTS.md, section 4
[group('build')]
image *ARGS:
    {{ host }} microimage -- image {{ ARGS }}

# Make the same image with Docker Engine, from the same recipe and the ELF that `just image` staged
[group('build')]
image-docker FUNCTION='function-template' TAG='firstbyte:docker':
    {{ host }} microimage -- stage {{ FUNCTION }}
    DOCKER_BUILDKIT=0 docker build --quiet -f scratch.Dockerfile -t {{ TAG }} .

# Measure where the cold start of the image goes: pull, unpack, create, start
[group('measure')]
bench-coldstart *FLAGS: image
    {{ host }} coldstart -- {{ FLAGS }}

# Run a function on this machine: 127.0.0.1:9000
[group('work')]
run FUNCTION='function-template':
    FIRSTBYTE_ADDR=${FIRSTBYTE_ADDR:-127.0.0.1:9000} cargo run --package {{ FUNCTION }}

# Check the image against the platform's documented rules
[group('ship')]
check *FLAGS: image
    {{ host }} microimage -- check {{ FLAGS }} target/image/oci

# Push the image that `just image` made to a registry
[group('ship')]
push REFERENCE *FLAGS:
    {{ host }} microimage -- push {{ FLAGS }} target/image/oci {{ REFERENCE }}

# Every test of every room
[group('work')]
test *FLAGS:
    cargo test --workspace --profile host {{ FLAGS }}

# What continuous integration runs
[group('work')]
ci:
    .ci/run
