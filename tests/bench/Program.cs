using System.Globalization;
using FineTuneService.Bench;
using FineTuneService.Training.Native;

// What each prints: README.md.
if (args is ["tokenizers", var text, .. var folders])
{
    TokenizerBenchmark.Run(folders, File.ReadAllLines(text));
    return;
}
if (args is [StepBenchmark.Child, ..])
    HostMemory.BeginAnew();
TorchLibrary.EnsureLoaded();
var peer = args is [.., "--peer", var command] ? new Peer(command) : null;
switch (peer is null ? args : args[..^2])
{
    case [StepBenchmark.Child, var shape, var precision]:
        StepBenchmark.Measure(shape, precision);
        break;
    case ["--step"]:
        StepBenchmark.Run(peer);
        break;
    case ["--epoch", "tiny" or "distilbert"]:
        EpochBenchmark.Run(args[1], peer);
        break;
    case ["--allocations", var count]:
        StepAllocations.Run(Number(count));
        break;
    case ["--dataset", var rows]:
        DatasetBenchmark.Run(Number(rows));
        break;
    case ["--qlora", var layers, var count]:
        QloraMemory.Run(Number(layers), Number(count));
        break;
    case []:
        StepBenchmark.Run(peer);
        TokenizerBenchmark.Run(Directory.GetDirectories("tests/FineTuneService.Training.Tests/Fixtures/tokenization").Order(), File.ReadAllLines("samples/sst2/train.tsv"));
        QloraMemory.Run(layers: 1, steps: 1);
        break;
    default:
        Console.Error.WriteLine("See tests/bench/README.md for what can be measured.");
        Environment.ExitCode = 2;
        break;
}

static int Number(string digits) => int.Parse(digits, CultureInfo.InvariantCulture);
