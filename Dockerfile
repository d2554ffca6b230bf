# syntax=docker/dockerfile:1
# docker build --target api -t finetune-api .            docker build --target worker -t finetune-worker .
# With --build-arg TORCH=cuda the trainer brings CUDA's libraries (several GB); the host needs an NVIDIA driver and its container toolkit.

FROM node:22-slim AS dashboard
WORKDIR /source/src/FineTuneService.Dashboard
COPY src/FineTuneService.Dashboard/package*.json src/FineTuneService.Dashboard/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY src/FineTuneService.Dashboard .
RUN npm run build

# Ubuntu 24.04 ("noble") on both sides: its libstdc++ has every symbol version that TorchSharp's library names.
FROM mcr.microsoft.com/dotnet/sdk:10.0-noble AS build
ARG TORCH=cpu
# CI: the lock files decide which packages come in. They describe the CPU build; for CUDA Directory.Build.props lets go of them.
ENV CI=true NUGET_PACKAGES=/packages
WORKDIR /source
COPY . .
COPY --from=dashboard /source/artifacts/dashboard artifacts/dashboard
RUN --mount=type=cache,target=/packages \
    for project in Api Worker Cli; do \
        dotnet publish "src/FineTuneService.$project" --configuration Release --output "/app/$project" -p:TorchBackend="$TORCH" -p:DashboardIsBuilt=true || exit 1; \
    done \
    && cp appsettings.json /app/ \
    && find /app/Cli/runtimes -mindepth 1 -maxdepth 1 ! -name linux-x64 -exec rm -r {} +

FROM mcr.microsoft.com/dotnet/aspnet:10.0-noble AS host
# The trainer's allocator: see build/prerequisites.sh.
RUN apt-get update && apt-get install -y --no-install-recommends libtcmalloc-minimal4t64 && rm -rf /var/lib/apt/lists/*
RUN install --directory --owner="$APP_UID" --group="$APP_UID" /data
COPY --from=build /app /app
COPY --chmod=755 deploy/healthcheck /app/healthcheck
# The content root: appsettings.json is read from here.
WORKDIR /app
ENV Storage__DataDirectory=/data \
    Storage__ModelsDirectory=/models \
    Worker__TrainerPath=/app/Cli/finetune
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/app/healthcheck"]
USER $APP_UID

FROM host AS worker
USER root
RUN apt-get update && apt-get install -y --no-install-recommends openmpi-bin && rm -rf /var/lib/apt/lists/*
USER $APP_UID
ENTRYPOINT ["/app/Worker/FineTuneService.Worker"]

FROM host AS api
ENTRYPOINT ["/app/Api/FineTuneService.Api"]
