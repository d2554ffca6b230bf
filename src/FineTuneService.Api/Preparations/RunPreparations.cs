using System.Data.Common;
using FineTuneService.Api.Datasets;
using FineTuneService.Storage;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Preparations;

/// <summary>Makes reports and cleaned datasets, as many at a time as the settings allow.</summary>
public sealed class RunPreparations(PreparationClaims claims, PreparationSignal signal, Prepare prepare, StorageSettings storage, IOptions<DatasetSettings> settings, ILogger<RunPreparations> log) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    protected override Task ExecuteAsync(CancellationToken stoppingToken)
    {
        Prepare.Sweep(storage);
        return Task.WhenAll(Enumerable.Range(0, settings.Value.Preparations).Select(_ => Work(stoppingToken)));
    }

    private async Task Work(CancellationToken cancel)
    {
        try
        {
            while (true)
                if (!await TakeOne(cancel))
                    await signal.Wait(Interval, cancel);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // What was under way another host begins anew, when its lease has run out.
        }
    }

    /// <returns>False when there was nothing to do, or no database.</returns>
    private async Task<bool> TakeOne(CancellationToken cancel)
    {
        try
        {
            if (await claims.Take(cancel) is not { } ours)
                return false;
            await prepare.Run(ours, cancel);
            return true;
        }
        catch (Exception error) when ((error is DbException || error.InnerException is DbException) && !cancel.IsCancellationRequested)
        {
            log.LogWarning("Preparations have to wait for the database ({Error})", error.GetBaseException().Message);
            return false;
        }
    }
}
