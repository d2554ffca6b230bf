using System.Globalization;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training;
using static TorchSharp.torch;

namespace FineTuneService.Bench;

/// <summary>Managed bytes that the whole loop allocates per step, loader and log included, when it has run for a while.</summary>
internal static class StepAllocations
{
    private const int WarmUp = 100;
    private const double Bar = 64;

    public static void Run(int steps)
    {
        var folder = new RunFolder(Directory.CreateTempSubdirectory("finetune-allocations-").FullName);
        try
        {
            var spec = new JobSpec
            {
                BaseModel = Path.GetFullPath("samples/models/tiny-bert-en"),
                Task = new Training.Tasks.TextClassificationConfig(),
                Dataset = new() { Train = Path.GetFullPath("samples/sst2/train.tsv"), ValidationSplit = 0 },
                Training = new()
                {
                    MaxSteps = WarmUp + steps,
                    PerDeviceTrainBatchSize = 32,
                    LoggingSteps = WarmUp,
                    MaxLength = 64,
                    EvalStrategy = IntervalStrategy.No,
                    SaveStrategy = IntervalStrategy.No,
                    LoadBestModelAtEnd = false,
                },
            };
            File.WriteAllBytes(folder.Job, JsonSerializer.SerializeToUtf8Bytes(spec, Catalog.Json));
            var (bytes, at) = (new List<long>(), new List<int>());
            using var run = TrainingRun.Prepare(folder, CPU, happened => Note(happened), TimeProvider.System);
            run.Trainer.Train(CancellationToken.None);
            var perStep = (bytes[^1] - bytes[1]) / 1024.0 / (at[^1] - at[1]);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"managed memory per step, tiny-bert-en, batch 32, steps {at[1]} to {at[^1]}: {perStep:F1} KB, bar {Bar:F0} KB"));

            void Note(TrainingEvent happened)
            {
                if (happened is not StepLogged)
                    return;
                bytes.Add(GC.GetTotalAllocatedBytes());
                at.Add(happened.Step);
            }
        }
        finally
        {
            Directory.Delete(folder.Path, recursive: true);
        }
    }
}
