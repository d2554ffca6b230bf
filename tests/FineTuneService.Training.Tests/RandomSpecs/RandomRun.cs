using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.RandomSpecs;

/// <summary>A specification in a folder of its own, run in this process.</summary>
internal sealed class RandomRun : IDisposable
{
    /// <param name="change">To the job.json, before it is written.</param>
    public RandomRun(RandomSpec spec, Action<JsonObject>? change = null)
    {
        spec.WriteTo(Folder);
        if (change is null)
            return;
        var job = (JsonObject)spec.Job.DeepClone();
        change(job);
        File.WriteAllText(Folder.Job, job.ToJsonString());
    }

    public RunFolder Folder { get; } = new(Directory.CreateTempSubdirectory("random-").FullName);

    public List<TrainingEvent> Events { get; } = [];

    public bool HasBegun => Events.OfType<RunStarted>().Any();

    public RunSucceeded Success => Assert.Single(Events.OfType<RunSucceeded>());

    public IReadOnlyList<int> Checkpoints => [.. Directory.GetDirectories(Folder.Checkpoints).Select(folder => int.Parse(Path.GetFileName(folder)["checkpoint-".Length..], null)).Order()];

    /// <param name="stopAt">Number of the event after which it is to stop; null: at its end.</param>
    public TrainingEnd Train(int? stopAt = null)
    {
        using var stop = new CancellationTokenSource();
        var heard = 0;
        using var run = TrainingRun.Prepare(Folder, CPU, Heard, TimeProvider.System);
        Assert.True(run.Forecast.PeakBytes > 0);
        return run.Trainer.Train(stop.Token);

        void Heard(TrainingEvent happened)
        {
            Events.Add(happened);
            Assert.NotEmpty(JsonSerializer.Serialize(happened, SnakeCaseJson.Options)); // Whoever tells it further can.
            if (heard++ == stopAt)
                stop.Cancel();
        }
    }

    /// <summary>What was told of the steps, each attempt's in place of what an earlier one had told of the same; without times.</summary>
    public IReadOnlyList<string> Curve()
    {
        var told = new List<(int Step, string Text)>();
        foreach (var happened in Events)
            switch (happened)
            {
                case RunStarted started:
                    told.RemoveAll(line => line.Step > started.LastValidStep);
                    break;
                case StepLogged logged:
                    told.Add((logged.Step, $"{logged.Step} step {Show(logged.Metrics)}"));
                    break;
                case Evaluated evaluated:
                    told.Add((evaluated.Step, $"{evaluated.Step} {evaluated.Split} {Show(evaluated.Metrics)}"));
                    break;
                case Generated generated:
                    told.Add((generated.Step, $"{generated.Step} {string.Join('|', generated.Samples.Select(sample => $"{sample.Prompt}>{sample.Text}"))}"));
                    break;
            }
        return [.. told.Select(line => line.Text)];
    }

    public IReadOnlyList<string> Hashes(int step) => [.. Directory.GetFiles(Folder.Checkpoint(step), "*.safetensors").Order(StringComparer.Ordinal)
        .Select(file => $"{Path.GetFileName(file)} {Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(file)))}")];

    public void Dispose() => Directory.Delete(Folder.Path, recursive: true);

    private static string Show(IReadOnlyDictionary<string, double> metrics) => string.Join(' ',
        from metric in metrics
        where !metric.Key.EndsWith("per_second", StringComparison.Ordinal) && !metric.Key.EndsWith("runtime", StringComparison.Ordinal) && !metric.Key.EndsWith("bytes", StringComparison.Ordinal)
        orderby metric.Key
        select FormattableString.Invariant($"{metric.Key}={metric.Value:R}"));
}
