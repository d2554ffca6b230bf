using System.Globalization;
using FineTuneService.Bench;
using FineTuneService.Training.Native;

// What each prints: README.md.
if (args is ["tokenizers", var text, .. var folders])
{
    TokenizerBenchmark.Run(folders, File.ReadAllLines(text));
    return 0;
}
if (args is [StepBenchmark.Child or ForecastBenchmark.Child, ..])
    HostMemory.BeginAnew();
TorchLibrary.EnsureLoaded();
var peer = args is [.., "--peer", var command] ? new Peer(command) : null;
switch (peer is null ? args : args[..^2])
{
    case [StepBenchmark.Child, var shape, var precision]:
        StepBenchmark.Measure(shape, precision);
        return 0;
    case ["--step"]:
        StepBenchmark.Run(peer);
        return 0;
    case ["--memory"]:
        StepMemory.Run();
        return 0;
    case ["--epoch", "tiny" or "distilbert"]:
        EpochBenchmark.Run(args[1], peer);
        return 0;
    case ["--allocations", var count]:
        StepAllocations.Run(Number(count));
        return 0;
    case ["--dataset", var rows]:
        DatasetBenchmark.Run(Number(rows));
        return 0;
    case ["--qlora", var layers, var count]:
        QloraMemory.Run(Number(layers), Number(count));
        return 0;
    case ["--forecast", .. var numbers]:
        var cases = numbers.Where(number => number != "--moments").Select(Number).ToList();
        return ForecastBenchmark.Run(cases.Count > 0 ? cases : Enumerable.Range(0, ForecastCase.All.Count), tellMoments: numbers.Contains("--moments")) ? 0 : 1;
    case [ForecastBenchmark.Preparation, var number, var folder]:
        ForecastBenchmark.Prepare(Number(number), folder);
        return 0;
    case [ForecastBenchmark.Child, var number, var folder, .. var more]:
        return ForecastBenchmark.RunCase(Number(number), folder, tellMoments: more is ["--moments"]);
    case []:
        StepBenchmark.Run(peer);
        TokenizerBenchmark.Run(Directory.GetDirectories("tests/FineTuneService.Training.Tests/Fixtures/tokenization").Order(), File.ReadAllLines("samples/sst2/train.tsv"));
        QloraMemory.Run(layers: 1, steps: 1);
        return 0;
    default:
        Console.Error.WriteLine("tests/bench/README.md has what can be measured.");
        return 2;
}

static int Number(string digits) => int.Parse(digits, CultureInfo.InvariantCulture);
