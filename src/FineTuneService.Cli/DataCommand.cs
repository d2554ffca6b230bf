using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training;
using FineTuneService.Training.DataQuality;

namespace FineTuneService.Cli;

/// <summary>What <c>finetune report</c> and <c>finetune clean</c> have in common: their files, and how they tell their progress.</summary>
internal sealed class DataCommand
{
    private readonly Argument<FileInfo> _train = new("train") { Description = "Training rows: csv, tsv, jsonl or parquet." };
    private readonly Option<FileInfo?> _validation = new("--validation") { Description = "Validation rows, with the same columns." };
    private readonly Option<FileInfo?> _test = new("--test") { Description = "Test rows, with the same columns." };
    private readonly Option<bool> _progress = new("--progress") { Description = "Tell the progress on standard output, a JSON object a line: {\"phase\": \"…\", \"fraction\": 0.5}; faults, too." };

    private readonly Option<bool> _supervised = new("--supervised") { Description = "Die when standard input ends." };

    public DataCommand(Command command)
    {
        command.Add(_train);
        command.Add(_validation);
        command.Add(_test);
        command.Add(_progress);
        command.Add(_supervised);
    }

    public int Run(ParseResult parsed, Action<DatasetFiles, Action<DataProgress>> act)
    {
        if (parsed.GetValue(_supervised))
            Supervision.EndWithInput();
        var files = new DatasetFiles(parsed.GetRequiredValue(_train).FullName, parsed.GetValue(_validation)?.FullName, parsed.GetValue(_test)?.FullName);
        Action<DataProgress> tell = parsed.GetValue(_progress) ? TellProgram : TellPerson;
        return Verb.Tell(() =>
        {
            try
            {
                act(files, tell);
                return TrainerExit.Succeeded;
            }
            catch (FaultException error) when (parsed.GetValue(_progress))
            {
                TellProgram(new() { Phase = "faulted", Fraction = 1, Faults = error.Faults });
                throw;
            }
        });
    }

    /// <exception cref="FaultException">When there is no such file, or with every fault of the document.</exception>
    public static T Read<T>(FileInfo? file) where T : new()
    {
        if (file is null)
            return new();
        if (!file.Exists)
            throw new FaultException(file.FullName, null, "There is no such file.", "Check the path.");
        var faults = new FaultList();
        var sound = new JsonContract(Catalog.Json, faults).Read<T>(JsonContract.Parse(File.ReadAllBytes(file.FullName)));
        faults.ThrowIfAny();
        return sound.Deserialize<T>(Catalog.Json)!;
    }

    private static void TellProgram(DataProgress progress)
    {
        Console.Out.WriteLine(JsonSerializer.Serialize(progress, SnakeCaseJson.Options));
        Console.Out.Flush();
    }

    private static void TellPerson(DataProgress progress) =>
        Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{progress.Fraction,4:P0} {progress.Phase}"));
}
