using System.Collections.Concurrent;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Predictions;

/// <summary>Keeps a few models warm: the least recently used ends when there are too many, and each when nobody asks it.</summary>
public sealed class Predictors(TrainerLocation trainer, IOptions<PredictorSettings> settings, TimeProvider clock, ILogger<Predictors> log) : BackgroundService
{
    /// <summary>A checkpoint has one of them: a whole model, or an adapter.</summary>
    private static readonly string[] Weights = ["model.safetensors", "adapter_model.safetensors"];

    private readonly ConcurrentDictionary<(string Folder, DateTime Written), Predictor> _predictors = new();

    /// <inheritdoc cref="Predictor.AskAsync"/>
    public async Task<IReadOnlyList<Prediction>> AskAsync(string checkpoint, PredictRequest request, CancellationToken cancel)
    {
        // An attempt that was rewound writes the same folder again: then it is another model.
        var key = (checkpoint, Weights.Max(file => File.GetLastWriteTimeUtc(Path.Combine(checkpoint, file))));
        var predictor = _predictors.GetOrAdd(key, _ => new(trainer.Path, checkpoint, settings.Value, clock, log));
        var predictions = await predictor.AskAsync(request, cancel);
        await EndSurplus();
        return predictions;
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        await Task.WhenAll(_predictors.Values.Select(predictor => predictor.DisposeAsync().AsTask()));
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(settings.Value.IdleTimeout / 4, clock);
        while (await timer.WaitForNextTickAsync(stoppingToken))
            foreach (var predictor in _predictors.Values.Where(predictor => clock.GetElapsedTime(predictor.LastUsed) > settings.Value.IdleTimeout))
                await predictor.EndIfIdle();
    }

    private async Task EndSurplus()
    {
        foreach (var predictor in _predictors.Values.Where(predictor => predictor.ProcessId is not null).OrderByDescending(predictor => predictor.LastUsed).Skip(settings.Value.Kept))
            await predictor.EndIfIdle();
    }
}
