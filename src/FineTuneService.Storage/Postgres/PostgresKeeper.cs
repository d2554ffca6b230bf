using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace FineTuneService.Storage.Postgres;

/// <summary>Starts the embedded server again when it has died, and leaves it when the host stops.</summary>
internal sealed class PostgresKeeper(EmbeddedPostgres postgres, TimeProvider clock, ILogger<PostgresKeeper> log) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, clock);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
                await Keep(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host stops.
        }
    }

    private async Task Keep(CancellationToken cancel)
    {
        try
        {
            await postgres.EnsureRunning(cancel);
        }
        catch (InvalidOperationException error)
        {
            log.LogError(error, "The embedded PostgreSQL could not be started again; the next attempt follows");
        }
    }
}
