using System.Runtime.CompilerServices;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.WarmModels;

/// <summary>Keeps a few models warm, whatever they do: the least recently used ends when there are too many, and each when nobody asks it. What has ended is forgotten.</summary>
public sealed class WarmModelPool(TrainerLocation trainer, IOptions<WarmModelSettings> settings, TimeProvider clock, ILogger<WarmModelPool> log) : BackgroundService
{
    /// <summary>A checkpoint has one of them: a whole model, or an adapter.</summary>
    private static readonly string[] Weights = ["model.safetensors", "adapter_model.safetensors"];

    private readonly Lock _lock = new();
    private readonly Dictionary<(string Verb, string Folder, DateTime Written), Entry> _entries = [];

    /// <summary>Models that are warm or asked right now.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
                return _entries.Count;
        }
    }

    /// <param name="verb">Of the <c>finetune</c> command: <c>predict</c> or <c>generate</c>.</param>
    /// <inheritdoc cref="WarmModel.AskAsync"/>
    public async IAsyncEnumerable<TReply> AskAsync<TReply>(string verb, string checkpoint, object request, [EnumeratorCancellation] CancellationToken cancel) where TReply : ModelReply
    {
        // An attempt that was rewound writes the same folder again: then it is another model.
        var entry = Enter((verb, checkpoint, Weights.Max(file => File.GetLastWriteTimeUtc(Path.Combine(checkpoint, file)))));
        try
        {
            await foreach (var reply in entry.Model.AskAsync<TReply>(request, cancel))
                yield return reply;
        }
        finally
        {
            await Leave(entry);
        }
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        await End(_ => true);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(settings.Value.IdleTimeout / 4, clock);
        while (await timer.WaitForNextTickAsync(stoppingToken))
            await End(entry => entry.Users == 0 && clock.GetElapsedTime(entry.Model.LastUsed) > settings.Value.IdleTimeout);
    }

    private Entry Enter((string Verb, string Folder, DateTime Written) key)
    {
        lock (_lock)
        {
            if (!_entries.TryGetValue(key, out var entry))
                _entries.Add(key, entry = new(new(trainer.Path, key.Verb, key.Folder, settings.Value, clock, log)));
            entry.Users++;
            return entry;
        }
    }

    private async Task Leave(Entry left)
    {
        HashSet<Entry> surplus;
        lock (_lock)
        {
            left.Users--;
            surplus = [.. _entries.Values.Where(entry => entry.Model.ProcessId is not null).OrderByDescending(entry => entry.Model.LastUsed).Skip(settings.Value.Kept)];
        }
        await End(entry => entry.Users == 0 && (entry.Model.ProcessId is null || surplus.Contains(entry)));
    }

    /// <summary>Takes them out first: who asks for one of these checkpoints from now on gets a process of its own.</summary>
    private async Task End(Predicate<Entry> isDue)
    {
        List<WarmModel> due = [];
        lock (_lock)
            foreach (var (key, entry) in _entries.Where(pair => isDue(pair.Value)).ToList())
            {
                _entries.Remove(key);
                due.Add(entry.Model);
            }
        await Task.WhenAll(due.Select(model => model.DisposeAsync().AsTask()));
    }

    private sealed class Entry(WarmModel model)
    {
        public WarmModel Model => model;

        /// <summary>Requests that are in it, waiting ones included.</summary>
        public int Users { get; set; }
    }
}
