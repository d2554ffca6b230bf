using Hangfire;

namespace FineTuneService.Storage;

/// <summary>What Hangfire calls for a ticket. Abstract, so that the API can enqueue it without the worker's code.</summary>
public abstract class RunJobCall
{
    /// <summary>Retries are the worker's own: it knows which causes can pass.</summary>
    /// <param name="queue">Whose ticket it is; see <see cref="JobQueue.QueueFor"/>.</param>
    [AutomaticRetry(Attempts = 0)]
    public abstract Task Execute(string queue, CancellationToken cancel);
}
