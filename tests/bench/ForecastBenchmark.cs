using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;
using FineTuneService.Training.Native;
using static TorchSharp.torch;

namespace FineTuneService.Bench;

/// <summary>
/// What runs need of memory, forecast and measured: each of the grid in a process of its own, prepared, trained for two steps, evaluated and saved as <c>finetune train</c> does it, while a thread
/// asks the allocator again and again what is in use.
/// </summary>
internal static class ForecastBenchmark
{
    public const string Preparation = "--forecast-preparation", Child = "--forecast-case";

    private const double Bar = 0.1;

    /// <returns>Whether all hold.</returns>
    public static bool Run(IEnumerable<int> chosen, bool tellMoments)
    {
        var clock = Stopwatch.StartNew();
        var (held, count) = (0, 0);
        Console.WriteLine($"{"",3} {"family",-10} {"method",-10} {"run",-37}{"forecast",15} {"measured",9} {"ratio",6}  {"resident",8} {"of told",7}  moment");
        foreach (var number in chosen)
        {
            var folder = Directory.CreateTempSubdirectory("finetune-forecast-").FullName;
            try
            {
                string[] one = [number.ToString(CultureInfo.InvariantCulture), folder];
                Start([Preparation, .. one]);
                held += Start([Child, .. one, .. tellMoments ? ["--moments"] : Array.Empty<string>()]) == 0 ? 1 : 0;
            }
            finally
            {
                Directory.Delete(folder, recursive: true);
            }
            count++;
        }
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{held} of {count} within {Bar:P0} ({clock.Elapsed.TotalSeconds:F0} s)"));
        return held == count;
    }

    private static int Start(string[] arguments)
    {
        using var child = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, arguments))!;
        child.WaitForExit();
        return child.ExitCode;
    }

    /// <returns>The exit code: 0 when forecast and measurement agree.</returns>
    public static int RunCase(int number, string path, bool tellMoments)
    {
        var one = ForecastCase.All[number];
        var folder = new RunFolder(path);
        using var sampler = new MemorySampler();
        using var run = TrainingRun.Prepare(folder, CPU, happened => sampler.Mark(happened switch
        {
            RunStarted => "load",
            StepLogged => "step",
            Evaluated => "evaluation",
            CheckpointSaved => "checkpoint",
            _ => null,
        }), TimeProvider.System);
        run.Trainer.Train(CancellationToken.None);
        var (measured, moment) = sampler.Stop();
        var ratio = (double)run.Forecast.TensorBytes / measured;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{number,3} {one,-70} {run.Forecast.TensorBytes / 1e6,6:F0} MB {measured / 1e6,6:F0} MB {ratio,6:F3}  {HostMemory.PeakBytes() / 1e6,5:F0} MB {(double)HostMemory.PeakBytes() / run.Forecast.PeakBytes,7:F3}  {run.Forecast.Largest.Name}, {moment}"));
        if (tellMoments)
        {
            foreach (var told in run.Forecast.Moments)
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"    forecast {told.Name,-16} {told.Bytes / 1e6,8:F1} MB"));
            foreach (var (name, bytes) in sampler.Peaks)
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"    measured {name,-16} {bytes / 1e6,8:F1} MB"));
            var parts = run.Forecast;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"    frozen {parts.FrozenWeightBytes / 1e6:F1} trained {parts.TrainedWeightBytes / 1e6:F1} copies {parts.WeightCopyBytes / 1e6:F1} gradients {parts.GradientBytes / 1e6:F1} state {parts.OptimizerStateBytes / 1e6:F1} activations {parts.ActivationBytes / 1e6:F1} logits {parts.LogitBytes / 1e6:F1}; {sampler.Samples} samples"));
        }
        return Math.Abs(ratio - 1) <= Bar ? 0 : 1;
    }

    public static void Prepare(int number, string path)
    {
        var (one, folder) = (ForecastCase.All[number], new RunFolder(path));
        var model = Directory.CreateDirectory(Path.Combine(folder.Path, "model")).FullName;
        foreach (var file in Directory.EnumerateFiles(Path.Combine("samples", "models", one.IsDecoder ? "tiny-llama-en" : "tiny-bert-en")))
            if (Path.GetFileName(file) is not ("model.safetensors" or "config.json"))
                File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
        File.WriteAllText(Path.Combine(model, "config.json"), one.Model);
        var config = PretrainedConfig.Read(model);
        using (var scope = NewDisposeScope())
        using (var weights = config.Create(config.Head!.Value))
        {
            PretrainedFolder.Initialize(weights, seed: 1);
            PretrainedFolder.Save(model, weights);
        }
        WriteRows(one, Path.Combine(folder.Path, "train.jsonl"));
        var spec = new JobSpec
        {
            BaseModel = "model",
            Task = one.Learns,
            Dataset = new() { Train = "train.jsonl", ValidationSplit = 0.25 },
            Method = one.Method,
            Training = one.Training with
            {
                MaxSteps = 2,
                PerDeviceTrainBatchSize = one.Batch,
                PerDeviceEvalBatchSize = one.Batch,
                MaxLength = one.Length,
                LoggingSteps = 1,
                EvalStrategy = IntervalStrategy.Steps,
                EvalSteps = 2,
                SaveStrategy = IntervalStrategy.No,
                LoadBestModelAtEnd = false,
            },
        };
        File.WriteAllBytes(folder.Job, JsonSerializer.SerializeToUtf8Bytes(spec, Catalog.Json));
    }

    private static void WriteRows(ForecastCase one, string path)
    {
        var lines = File.ReadLines(Path.Combine("samples", "sst2", "train.tsv")).Skip(1).Select(line => line.Split('\t')[0]).ToArray();
        var (at, random) = (0, new Random(1));
        using var rows = new StreamWriter(path);
        for (var row = 0; row < 4 * one.Batch; row++)
        {
            // A word is a token or more: so many words fill a row, or a part of it.
            var words = new List<string>();
            var wanted = one.Varied && row % one.Batch != 0 ? random.Next(one.Length / 4, one.Length) : one.Length;
            while (words.Count < wanted)
                words.AddRange(lines[at++ % lines.Length].Split(' '));
            rows.WriteLine(JsonSerializer.Serialize(new { text = string.Join(' ', words.Take(wanted)), label = row % 2 }));
        }
    }
}
