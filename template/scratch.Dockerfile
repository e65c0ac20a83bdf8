# The image's one recipe: `docker build -f scratch.Dockerfile .` and `microimage build` both read it.
# Port, entrypoint and environment of the image are written here and nowhere else.
FROM scratch
# `just image` stages the static ELF here (mode 0755).
COPY target/image/root/app /app
# The platform sends every request to this port.
EXPOSE 9000
# Exec form: there is no shell, and the program itself is PID 1.
ENTRYPOINT ["/app"]
