using System.Runtime.CompilerServices;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;

namespace FineTuneService.Api.WarmModels;

/// <summary>One checkpoint's process for one verb: started when first asked, one request at a time, started anew after a crash.</summary>
public sealed class WarmModel(string trainer, string verb, string checkpoint, WarmModelSettings settings, TimeProvider clock, ILogger log) : IAsyncDisposable
{
    private readonly SemaphoreSlim _turn = new(1);
    private ModelProcess? _process;
    private int _waiting;

    public long LastUsed { get; private set; } = clock.GetTimestamp();

    public int? ProcessId => _process?.Id;

    /// <summary>The replies to one request, as they come; until the last was taken or the enumeration disposed, others wait.</summary>
    /// <exception cref="ProblemException">503 when too many wait, or the process cannot be kept alive.</exception>
    /// <exception cref="FaultException">When the checkpoint or the request is refused.</exception>
    public async IAsyncEnumerable<TReply> AskAsync<TReply>(object request, [EnumeratorCancellation] CancellationToken cancel) where TReply : ModelReply
    {
        try
        {
            if (Interlocked.Increment(ref _waiting) > settings.QueueLength)
                throw new ProblemException(StatusCodes.Status503ServiceUnavailable, $"{settings.QueueLength} requests already wait for this model; try again soon.");
            await _turn.WaitAsync(cancel);
            try
            {
                var reply = await FirstOrRestart<TReply>(request, cancel);
                yield return reply;
                while (!reply.IsLast)
                    yield return reply = await Next<TReply>(cancel);
            }
            finally
            {
                await ReadRest<TReply>();
                LastUsed = clock.GetTimestamp();
                _turn.Release();
            }
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await End();
        _turn.Dispose();
    }

    /// <summary>Nothing was given out yet, so a process that is lost here may be replaced unseen: often it died long ago, while nobody asked.</summary>
    private async Task<TReply> FirstOrRestart<TReply>(object request, CancellationToken cancel) where TReply : ModelReply
    {
        for (var isLastTry = false; ; isLastTry = true)
        {
            try
            {
                _process ??= await ModelProcess.StartAsync(trainer, verb, checkpoint, settings.StartTimeout, clock);
                cancel.ThrowIfCancellationRequested();
                await _process.SendAsync(request);
                return await _process.ReceiveAsync<TReply>(settings.ReplyTimeout, cancel);
            }
            catch (ProcessLostException error)
            {
                await Lose(error);
                if (isLastTry)
                    throw new ProblemException(StatusCodes.Status503ServiceUnavailable, "The model's process ended twice while it answered; the service's log has its last words.");
            }
        }
    }

    private async Task<TReply> Next<TReply>(CancellationToken cancel) where TReply : ModelReply
    {
        try
        {
            return await _process!.ReceiveAsync<TReply>(settings.ReplyTimeout, cancel);
        }
        catch (ProcessLostException error)
        {
            await Lose(error);
            throw new ProblemException(StatusCodes.Status503ServiceUnavailable, "The model's process ended in the middle of its answer; the service's log has its last words. Try again.");
        }
    }

    /// <summary>
    /// A reply that nobody waits for must be read all the same, or the next request would get it. How long the rest takes nobody knows, and a new
    /// process takes about as long as this one did to load: so long it may go on, which is never more than twice the cost of the better choice.
    /// </summary>
    private async Task ReadRest<TReply>() where TReply : ModelReply
    {
        if (_process is not { IsAnswering: true } process)
            return;
        using var patience = new CancellationTokenSource(process.LoadTime, clock);
        try
        {
            while (process.IsAnswering)
                await process.ReceiveAsync<TReply>(settings.ReplyTimeout, patience.Token);
        }
        catch (FaultException)
        {
            // So it ended; there is nobody to tell.
        }
        catch (OperationCanceledException)
        {
            await End();
        }
        catch (ProcessLostException error)
        {
            await Lose(error);
        }
    }

    private async Task Lose(ProcessLostException error)
    {
        log.LogWarning(error, "The process that does {Verb} with {Checkpoint} was lost", verb, checkpoint);
        await End();
    }

    private async Task End()
    {
        if (_process is not { } process)
            return;
        _process = null;
        await process.DisposeAsync();
    }
}
