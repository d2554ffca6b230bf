using System.CommandLine;
using System.Globalization;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;

namespace FineTuneService.Cli;

/// <summary><c>finetune inspect PATH</c>: what a model folder, a checkpoint or a safetensors file holds.</summary>
internal static class InspectCommand
{
    public static Command Create()
    {
        var path = new Argument<string>("path") { Description = "A model folder, a checkpoint, or a safetensors file." };
        var command = new Command("inspect", "Tell what a model folder or a safetensors file holds.") { path };
        command.SetAction(parsed => Verb.Tell(() => Inspect(parsed.GetRequiredValue(path))));
        return command;
    }

    private static int Inspect(string path)
    {
        if (AdapterFolder.Is(path))
        {
            var adapter = AdapterFolder.Read(path);
            Line("adapter of", adapter.BaseName);
            Line("rank", adapter.Config.R);
            Line("adapts", adapter.Config.TargetModules?.ToString() ?? "the usual modules");
            path = Path.Combine(path, AdapterFolder.WeightsFile);
        }
        else if (Directory.Exists(path))
        {
            var config = PretrainedConfig.Read(path);
            Line("model_type", config.ModelType);
            Line("vocabulary", config.VocabSize);
            Line("longest text", $"{config.MaxLength} tokens");
            if (config.LabelsById is not null)
                Line("labels", string.Join(", ", config.Labels));
            if (File.Exists(Path.Combine(path, CheckpointStore.Manifest)))
                Line("integrity", CheckpointStore.Damage(path) ?? "every file is as it was written");
        }
        var (entries, metadata) = SafetensorsReader.ReadHeaders(path);
        Line("parameters", entries.Values.Sum(entry => entry.Shape.Aggregate(1L, (product, size) => product * size)).ToString("N0", CultureInfo.InvariantCulture));
        foreach (var (key, value) in metadata)
            Line(key, value);
        foreach (var (name, entry) in entries.OrderBy(entry => entry.Key, StringComparer.Ordinal))
            Console.WriteLine($"{entry.Dtype,-5} [{string.Join(", ", entry.Shape)}] {name}");
        return TrainerExit.Succeeded;
    }

    private static void Line(string name, object value) => Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-14} {value}"));
}
