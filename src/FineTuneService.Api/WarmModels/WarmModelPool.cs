using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.WarmModels;

/// <summary>Keeps a few models warm, whatever they do: the least recently used ends when there are too many, and each when nobody asks it.</summary>
public sealed class WarmModelPool(TrainerLocation trainer, IOptions<WarmModelSettings> settings, TimeProvider clock, ILogger<WarmModelPool> log) : BackgroundService
{
    /// <summary>A checkpoint has one of them: a whole model, or an adapter.</summary>
    private static readonly string[] Weights = ["model.safetensors", "adapter_model.safetensors"];

    private readonly ConcurrentDictionary<(string Verb, string Folder, DateTime Written), WarmModel> _models = new();

    /// <param name="verb">Of the <c>finetune</c> command: <c>predict</c> or <c>generate</c>.</param>
    /// <inheritdoc cref="WarmModel.AskAsync"/>
    public async IAsyncEnumerable<TReply> AskAsync<TReply>(string verb, string checkpoint, object request, [EnumeratorCancellation] CancellationToken cancel) where TReply : ModelReply
    {
        // An attempt that was rewound writes the same folder again: then it is another model.
        var key = (verb, checkpoint, Weights.Max(file => File.GetLastWriteTimeUtc(Path.Combine(checkpoint, file))));
        var model = _models.GetOrAdd(key, _ => new(trainer.Path, verb, checkpoint, settings.Value, clock, log));
        await foreach (var reply in model.AskAsync<TReply>(request, cancel))
            yield return reply;
        await EndSurplus();
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        await Task.WhenAll(_models.Values.Select(model => model.DisposeAsync().AsTask()));
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(settings.Value.IdleTimeout / 4, clock);
        while (await timer.WaitForNextTickAsync(stoppingToken))
            foreach (var model in _models.Values.Where(model => clock.GetElapsedTime(model.LastUsed) > settings.Value.IdleTimeout))
                await model.EndIfIdle();
    }

    private async Task EndSurplus()
    {
        foreach (var model in _models.Values.Where(model => model.ProcessId is not null).OrderByDescending(model => model.LastUsed).Skip(settings.Value.Kept))
            await model.EndIfIdle();
    }
}
