using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training;
using FineTuneService.Training.Data;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Bench;

/// <summary>Texts of SST-2, repeated: how long it takes to tokenize them, and to find them tokenized and collate the first batch.</summary>
internal static class DatasetBenchmark
{
    private const double Bar = 3;

    public static void Run(int rows)
    {
        var folder = Directory.CreateTempSubdirectory("finetune-rows-").FullName;
        try
        {
            var texts = File.ReadLines("samples/sst2/train.tsv").Skip(1).Select(line => line.Split('\t')).ToArray();
            var path = Path.Combine(folder, "train.jsonl");
            File.WriteAllLines(path, Enumerable.Range(0, rows).Select(row => JsonSerializer.Serialize(new { text = $"{row} {texts[row % texts.Length][0]}", label = texts[row % texts.Length][1] })));
            foreach (var task in new TrainingTaskConfig[] { new TextClassificationConfig(), new MaskedLanguageModelConfig() })
            {
                var (name, cache) = (Catalog.NameOf(task), new DatasetCache(Path.Combine(folder, "cache"), long.MaxValue, TimeProvider.System));
                var building = FirstBatch(task, path, cache);
                var memory = Environment.WorkingSet;
                var found = FirstBatch(task, path, cache);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{rows} rows, {name}: tokenized in {building:F1} s with {memory / 1e6:F0} MB resident; the first batch of a second run after {found:F2} s, bar {Bar:F0} s"));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static double FirstBatch(TrainingTaskConfig config, string path, DatasetCache cache)
    {
        var clock = Stopwatch.StartNew();
        var arguments = new TrainingArguments { MaxLength = 64, PerDeviceTrainBatchSize = 32, MaxSteps = 1 };
        var task = config.Load(new() { Train = path, TextColumn = "text", LabelColumn = "label", ValidationSplit = 0.01 }, arguments, Tokenizer.Load("samples/models/tiny-bert-en"), cache);
        foreach (var batch in DataLoader.TrainingSteps(task.Train, arguments, new StepPlan(arguments, task.Train.Count), 0).SelectMany(step => step))
            batch.Dispose();
        return clock.Elapsed.TotalSeconds;
    }
}
