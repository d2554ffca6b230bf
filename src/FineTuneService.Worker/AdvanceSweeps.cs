using FineTuneService.Storage;
using Npgsql;

namespace FineTuneService.Worker;

/// <summary>Looks after sweeps from time to time. They move on when a job ends; this is for a process that died, or lost its database, just then.</summary>
internal sealed class AdvanceSweeps(SweepStates sweeps, TimeProvider clock, ILogger<AdvanceSweeps> log) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, clock);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
                await Advance(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host stops.
        }
    }

    private async Task Advance(CancellationToken cancel)
    {
        try
        {
            await sweeps.AdvanceAll(cancel);
        }
        catch (Exception error) when (error.GetBaseException() is NpgsqlException or TimeoutException or System.Net.Sockets.SocketException)
        {
            log.LogWarning("The database does not answer: {Error}", error.GetBaseException().Message);
        }
    }
}
