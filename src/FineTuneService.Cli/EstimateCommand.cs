using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Native;

namespace FineTuneService.Cli;

/// <summary><c>finetune estimate RUN</c>: what a run would need of memory, before it begins.</summary>
internal static class EstimateCommand
{
    public static Command Create()
    {
        var run = Verb.Folder("run", "Folder of the run: it holds job.json.");
        var memory = new Option<string?>("--memory-limit") { Description = "The memory that the run may take, such as 8GiB. Default: what is free here, within the limits of a container." };
        var command = new Command("estimate", "Tell what a run would need of memory, and whether it is there.") { run, memory };
        command.SetAction(parsed => Verb.Tell(() =>
        {
            var available = parsed.GetValue(memory) is { } limit ? MemoryLimit.Parse(memory.Name, limit) : new AvailableMemory().Bytes;
            Show(MemoryEstimate.Of(new RunFolder(parsed.GetRequiredValue(run).FullName), available));
            return TrainerExit.Succeeded;
        }));
        return command;
    }

    private static void Show(MemoryEstimate estimate)
    {
        var forecast = estimate.Forecast;
        Line("frozen weights", forecast.FrozenWeightBytes);
        Line("trained weights", forecast.TrainedWeightBytes);
        Line("weight copies", forecast.WeightCopyBytes);
        Line("gradients", forecast.GradientBytes);
        Line("optimizer state", forecast.OptimizerStateBytes);
        Line("weight average", forecast.WeightAverageBytes);
        Line("base model's copy", forecast.BaseCopyBytes);
        Line("activations", forecast.ActivationBytes);
        Line("logits and loss", forecast.LogitBytes);
        Line("temporaries", forecast.TemporaryBytes);
        Line("process", forecast.ProcessBytes);
        Console.WriteLine();
        foreach (var moment in forecast.Moments)
            Line("at " + moment.Name.Replace('_', ' '), moment.Bytes + forecast.ProcessBytes);
        Console.WriteLine();
        Line("peak", forecast.PeakBytes);
        Line("available", estimate.AvailableBytes);
        Console.WriteLine($"{"verdict",-20} {Json(estimate.Verdict).Trim('"')}");
        if (estimate.SmallestChange is not { } change)
            return;
        Console.WriteLine();
        foreach (var edit in change.Edits)
            Console.WriteLine($"{"instead",-20} {edit.Pointer} = {edit.Value.GetRawText()}");
        Line("peak then", change.PeakBytes);
        Console.WriteLine(change.Cost);
    }

    private static void Line(string name, long bytes) => Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-20} {bytes / 1e6,12:N1} MB"));

    private static string Json<T>(T value) => JsonSerializer.Serialize(value, Catalog.Json);
}
