using System.CommandLine;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.DataQuality;

namespace FineTuneService.Cli;

/// <summary><c>finetune report TRAIN --output report.json</c>: what a dataset holds, what is the matter with it, and a recipe against it.</summary>
internal static class ReportCommand
{
    public static Command Create()
    {
        var options = new Option<FileInfo?>("--options") { Description = "What to look for, as JSON; see DataReportOptions." };
        var output = new Option<FileInfo?>("--output") { Description = "File for the report, as JSON. Default: only a summary is shown." };
        var command = new Command("report", "Look for what is the matter with a dataset: duplicates, wrong labels, leaks, personal data and more.") { options, output };
        var data = new DataCommand(command);
        command.SetAction(parsed => data.Run(parsed, (files, tell) =>
        {
            var report = DataReporter.Run(files, DataCommand.Read<DataReportOptions>(parsed.GetValue(options)), tell);
            if (parsed.GetValue(output) is { } file)
                Write(report, file.FullName);
            else
                Show(report);
        }));
        return command;
    }

    /// <summary>Published by renaming, so that a reader never sees half a report.</summary>
    private static void Write(DataReport report, string path)
    {
        using (var draft = File.Create(path + ".draft"))
            JsonSerializer.Serialize(draft, report, SnakeCaseJson.Options);
        File.Move(path + ".draft", path, overwrite: true);
    }

    private static void Show(DataReport report)
    {
        foreach (var file in report.Files)
            Console.WriteLine($"{file.Name}: {file.Rows} rows, {file.Used} used, {file.Encoding}");
        foreach (var finding in report.Findings)
            Console.WriteLine($"{JsonNamingPolicy.SnakeCaseLower.ConvertName(finding.Code.ToString()),-20} {finding.Count,9} {finding.Explanation} {finding.Remedy}");
        Console.WriteLine(JsonSerializer.Serialize(report.Recipe, SnakeCaseJson.Options));
    }
}
