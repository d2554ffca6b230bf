using Microsoft.Extensions.Logging;

namespace FineTuneService.Storage.Postgres;

/// <summary>Starts the embedded server again when it has died, and leaves it when the host stops.</summary>
internal sealed class PostgresKeeper(EmbeddedPostgres postgres, TimeProvider clock, ILogger<PostgresKeeper> log) : PeriodicService(TimeSpan.FromSeconds(2), clock)
{
    protected override async Task Tick(CancellationToken cancel)
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
