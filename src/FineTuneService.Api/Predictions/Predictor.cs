using FineTuneService.Api.Problems;
using FineTuneService.Contracts;

namespace FineTuneService.Api.Predictions;

/// <summary>One checkpoint's process: started when first asked, one request at a time, started anew after a crash.</summary>
public sealed class Predictor(string trainer, string checkpoint, PredictorSettings settings, TimeProvider clock, ILogger log) : IAsyncDisposable
{
    private readonly SemaphoreSlim _turn = new(1);
    private PredictorProcess? _process;
    private int _waiting;

    public long LastUsed { get; private set; } = clock.GetTimestamp();

    public int? ProcessId => _process?.Id;

    /// <exception cref="ProblemException">503 when too many wait, or the process cannot be kept alive.</exception>
    /// <exception cref="FaultException">When the checkpoint or the inputs are refused.</exception>
    public async Task<IReadOnlyList<Prediction>> AskAsync(PredictRequest request, CancellationToken cancel)
    {
        try
        {
            if (Interlocked.Increment(ref _waiting) > settings.QueueLength)
                throw new ProblemException(StatusCodes.Status503ServiceUnavailable, $"{settings.QueueLength} requests already wait for this model; try again soon.");
            await _turn.WaitAsync(cancel);
            try
            {
                return await AskOrRestart(request);
            }
            finally
            {
                LastUsed = clock.GetTimestamp();
                _turn.Release();
            }
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
    }

    /// <summary>Ends the process unless it is at work; false when there is none to end.</summary>
    public async Task<bool> EndIfIdle()
    {
        if (_process is null || !await _turn.WaitAsync(TimeSpan.Zero))
            return false;
        try
        {
            return await End();
        }
        finally
        {
            _turn.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await End();
        _turn.Dispose();
    }

    // Not cancellable: a reply that nobody waits for must be read all the same, or the next request would get it.
    private async Task<IReadOnlyList<Prediction>> AskOrRestart(PredictRequest request)
    {
        for (var isLastTry = false; ; isLastTry = true)
        {
            try
            {
                _process ??= await PredictorProcess.StartAsync(trainer, checkpoint, settings.StartTimeout, clock);
                return await _process.AskAsync(request, settings.ReplyTimeout);
            }
            catch (PredictorLostException error)
            {
                log.LogWarning(error, "The predictor of {Checkpoint} was lost", checkpoint);
                await End();
                if (isLastTry)
                    throw new ProblemException(StatusCodes.Status503ServiceUnavailable, "The predictor ended twice while it answered; the service's log has its last words.");
            }
        }
    }

    private async Task<bool> End()
    {
        if (_process is not { } process)
            return false;
        _process = null;
        await process.DisposeAsync();
        return true;
    }
}
