using FineTuneService.Contracts;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace FineTuneService.Storage.Artifacts;

public static class ArtifactServices
{
    public static IServiceCollection AddArtifacts(this IServiceCollection services, StorageSettings settings)
    {
        services.AddSingleton<DatasetFiles>().AddSingleton<BaseModelFiles>().AddSingleton<CheckpointFiles>().AddSingleton<RunFiles>().AddSingleton<OrphanedArtifacts>();
        if (settings.S3 is not { } bucket)
            return services.AddSingleton<ArtifactStore, DiskArtifacts>();
        services.AddSingleton<ArtifactStore>(_ => new S3Artifacts(bucket)).AddHostedService<AskAtStart>().AddHostedService<CacheSweep>();
        services.AddHealthChecks().AddCheck<ArtifactsCheck>("artifacts");
        return services;
    }

    /// <summary>Wrong credentials are told at once, rather than by the first job; a bucket that is away may come back.</summary>
    private sealed class AskAtStart(ArtifactStore artifacts, ILogger<AskAtStart> log) : IHostedService
    {
        public async Task StartAsync(CancellationToken cancellationToken)
        {
            try
            {
                await artifacts.Check(cancellationToken);
            }
            catch (ArtifactsAwayException error) when (error.IsRefused)
            {
                throw new FaultException("Storage:S3", null, error.Message, "Correct the bucket's name, the keys and what they may do.");
            }
            catch (ArtifactsAwayException error)
            {
                log.LogWarning("{Error} What needs it waits", error.Message);
            }
        }

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    private sealed class ArtifactsCheck(ArtifactStore artifacts) : IHealthCheck
    {
        public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
        {
            try
            {
                await artifacts.Check(cancellationToken);
                return HealthCheckResult.Healthy();
            }
            catch (ArtifactsAwayException error)
            {
                return HealthCheckResult.Degraded(error.Message); // A worker goes on training.
            }
        }
    }
}
