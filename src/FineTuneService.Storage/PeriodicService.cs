using Microsoft.Extensions.Hosting;

namespace FineTuneService.Storage;

/// <summary>Does something from time to time, until the host stops.</summary>
public abstract class PeriodicService(TimeSpan interval, TimeProvider clock) : BackgroundService
{
    protected sealed override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(interval, clock);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
                await Tick(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host stops.
        }
    }

    /// <summary>What comes out of it ends the host.</summary>
    protected abstract Task Tick(CancellationToken cancel);
}
