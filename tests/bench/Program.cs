using System.Globalization;
using FineTuneService.Bench;
using FineTuneService.Training.Native;

// FineTuneService.Bench [STEPS]                  the default set
// FineTuneService.Bench --qlora LAYERS STEPS     only the memory of QLoRA, with so many of Llama 7B's 32 layers: all of them take minutes and about 5 GB
// FineTuneService.Bench tokenizers TEXT FOLDER…  these tokenizers on this text
// FineTuneService.Bench --epoch tiny|distilbert [--peer "COMMAND"]   a whole job, beside the peer's (README.md)
// FineTuneService.Bench --allocations STEPS      managed memory of a step
// FineTuneService.Bench --forecast [NUMBER…]    memory of twenty runs, or of these: forecast and measured; --forecast-case NUMBER --moments: one, in this process, with its moments
// FineTuneService.Bench --dataset ROWS           a dataset of so many rows, tokenized and found again
if (args is ["tokenizers", var text, .. var folders])
{
    TokenizerBenchmark.Run(folders, File.ReadAllLines(text));
    return 0;
}

TorchLibrary.EnsureLoaded();
if (args is ["--qlora", var layers, var qloraSteps])
{
    QloraMemory.Run(int.Parse(layers, CultureInfo.InvariantCulture), int.Parse(qloraSteps, CultureInfo.InvariantCulture));
    return 0;
}
if (args is ["--epoch", "tiny" or "distilbert", ..] && args.Length is 2 or 4)
{
    EpochBenchmark.Run(args[1], args is [_, _, "--peer", var peer] ? peer : null);
    return 0;
}
if (args is ["--allocations", var allocationSteps])
{
    StepAllocations.Run(int.Parse(allocationSteps, CultureInfo.InvariantCulture));
    return 0;
}
if (args is ["--dataset", var datasetRows])
{
    DatasetBenchmark.Run(int.Parse(datasetRows, CultureInfo.InvariantCulture));
    return 0;
}
if (args is ["--forecast", .. var cases])
    return ForecastBenchmark.Run(cases.Length == 0 ? Enumerable.Range(0, ForecastCase.All.Count) : cases.Select(number => int.Parse(number, CultureInfo.InvariantCulture))) ? 0 : 1;
if (args is ["--forecast-case", var number, .. var more])
    return ForecastBenchmark.RunCase(int.Parse(number, CultureInfo.InvariantCulture), tellMoments: more.Length > 0);
var steps = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 8;
StepBenchmark.Run("DistilBERT shape", new(Layers: 6, Hidden: 768, Heads: 12, Batch: 16, Sequence: 128), steps);
StepBenchmark.Run("2 layers x 128", new(Layers: 2, Hidden: 128, Heads: 2, Batch: 32, Sequence: 64), steps * 10);
TokenizerBenchmark.Run(Directory.GetDirectories("tests/FineTuneService.Training.Tests/Fixtures/tokenization").Order(), File.ReadAllLines("samples/sst2/train.tsv"));
QloraMemory.Run(layers: 1, steps: 1);
return 0;
