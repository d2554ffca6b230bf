using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training;

namespace FineTuneService.Bench;

/// <summary>A whole job, from the start of the process to its end: one epoch of real SST-2, beside the same by Hugging Face's Trainer with its defaults.</summary>
internal static class EpochBenchmark
{
    private const string Samples = "samples", Script = "sst2_epoch.py";
    private const int Batch = 8, MaxLength = 128;
    private const double LearningRate = 5e-5, Bar = 2;

    private static readonly string Configuration = Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));

    private static readonly string Executable = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "FineTuneService.Cli", Configuration, "finetune"));

    /// <param name="shape"><c>tiny</c>: tiny-bert-en with its weights; <c>distilbert</c>: DistilBERT's shape with random ones.</param>
    /// <param name="peer">Null: nothing to compare with.</param>
    public static void Run(string shape, Peer? peer)
    {
        var folder = Directory.CreateTempSubdirectory("finetune-epoch-").FullName;
        try
        {
            var isTiny = shape == "tiny";
            File.Copy(Path.Combine(Samples, "sst2", "train.tsv"), Path.Combine(folder, "train.tsv"));
            WriteModel(Path.Combine(folder, "model"), isTiny);
            double? theirs = peer is null ? null : Theirs(peer, folder, isTiny);
            foreach (var (strategy, cached) in new[] { (TrainSamplingStrategy.Random, false), (TrainSamplingStrategy.Random, true), (TrainSamplingStrategy.GroupByLength, true) })
                Print($"epoch of SST-2, {shape}, {JsonSerializer.Serialize(strategy, SnakeCaseJson.Options).Trim('"')}, {(cached ? "tokenized before" : "not tokenized before")}", Ours(folder, isTiny, strategy), theirs);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Print(string name, double ours, double? theirs) => Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture, $"{name}: ours {ours:F1} s, theirs {(theirs is { } seconds ? $"{seconds:F1} s, ratio {seconds / ours:F2}" : "not measured, ratio -")}, bar {Bar:F1}"));

    private static void WriteModel(string model, bool isTiny)
    {
        Directory.CreateDirectory(model);
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Samples, "models", "tiny-bert-en")))
            if (isTiny || Path.GetFileName(file) is not ("model.safetensors" or "config.json"))
                File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
        if (!isTiny)
            File.WriteAllText(Path.Combine(model, "config.json"), """
                {"architectures": ["DistilBertForMaskedLM"], "model_type": "distilbert", "vocab_size": 30522, "max_position_embeddings": 512, "dim": 768, "hidden_dim": 3072, "n_layers": 6, "n_heads": 12,
                 "dropout": 0.1, "attention_dropout": 0.1, "seq_classif_dropout": 0.2, "activation": "gelu", "initializer_range": 0.02, "pad_token_id": 0, "sinusoidal_pos_embds": false}
                """);
    }

    private static double Ours(string folder, bool isTiny, TrainSamplingStrategy strategy)
    {
        var run = new RunFolder(Path.Combine(folder, "run"));
        if (Directory.Exists(run.Path))
            Directory.Delete(run.Path, recursive: true);
        Directory.CreateDirectory(run.Path);
        var spec = new JobSpec
        {
            BaseModel = "../model",
            Init = isTiny ? WeightsFrom.Pretrained : WeightsFrom.Config,
            Task = new Training.Tasks.TextClassificationConfig(),
            Dataset = new() { Train = "../train.tsv", ValidationSplit = 0 },
            Training = new()
            {
                NumTrainEpochs = 1,
                PerDeviceTrainBatchSize = Batch,
                LearningRate = LearningRate,
                MaxLength = MaxLength,
                TrainSamplingStrategy = strategy,
                LoggingSteps = 500,
                EvalStrategy = IntervalStrategy.No,
                SaveStrategy = IntervalStrategy.Steps,
                LoadBestModelAtEnd = false,
            },
        };
        File.WriteAllBytes(run.Job, JsonSerializer.SerializeToUtf8Bytes(spec, Catalog.Json));
        var start = new ProcessStartInfo(Executable, ["train", run.Path]);
        start.Environment[TrainerVariables.DatasetCache] = Path.Combine(folder, "cache");
        return ChildProcess.Run(start).Seconds;
    }

    private static double Theirs(Peer peer, string folder, bool isTiny)
    {
        File.WriteAllText(Path.Combine(folder, "job.json"), JsonSerializer.Serialize(new { init = isTiny ? "pretrained" : "config", batch = Batch, learning_rate = LearningRate, max_length = MaxLength }));
        return peer.Run(Script, folder).Seconds;
    }
}
