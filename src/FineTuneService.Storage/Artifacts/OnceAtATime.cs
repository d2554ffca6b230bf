using System.Collections.Concurrent;

namespace FineTuneService.Storage.Artifacts;

/// <summary>Who asks for work that another has begun waits for that.</summary>
internal sealed class OnceAtATime
{
    private readonly ConcurrentDictionary<string, Lazy<Task>> _doing = new();

    /// <param name="work">Goes on, whoever stops waiting.</param>
    public Task Do(string key, Func<Task> work) => _doing.GetOrAdd(key, _ => new(async () =>
    {
        await Task.Yield(); // Or quick work would end before it is listed, and stay there.
        try
        {
            await work();
        }
        finally
        {
            _doing.TryRemove(key, out var _);
        }
    })).Value;
}
