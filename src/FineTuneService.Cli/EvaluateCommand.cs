using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Cli;

/// <summary><c>finetune evaluate MODEL DATA</c>: the metrics of a fine-tuned model on a file, those of its task.</summary>
internal static class EvaluateCommand
{
    public static Command Create()
    {
        var model = Verb.Folder("model", "Folder of a fine-tuned model or a PEFT adapter, such as a checkpoint.");
        var data = new Argument<FileInfo>("data") { Description = "Rows as for training: csv, tsv, jsonl or parquet." };
        var task = new Option<string?>("--task") { Description = "Name of the task, or its JSON as in job.json. Default: that of the run, else what the model's head is for." };
        var text = new Option<string?>("--text-column") { Description = "Column with the text. Default: that of the run, else the usual names." };
        var label = new Option<string?>("--label-column") { Description = "Column with the label. Default: likewise." };
        var columns = new Option<string[]>("--column") { Description = "Any column, as job.json names it: messages_column=chat. May be given several times." };
        var length = new Option<int?>("--max-length") { Description = "Tokens to which rows are fitted. Default: that of the run, else the model's limit, at most 512." };
        var batch = new Option<int>("--batch-size") { Description = "Rows at a time.", DefaultValueFactory = _ => 32 };
        var abstainBelow = new Option<double?>("--abstain-below") { Description = "Also tell how many rows a classifier answers, and how well, if it is to say nothing below this probability." };
        var device = DeviceOption.Create();
        var baseModel = Verb.BaseOption();
        var command = new Command("evaluate", "Score a fine-tuned model on a file.") { model, data, task, text, label, columns, length, batch, abstainBelow, device, baseModel };
        command.SetAction(parsed => Verb.Run(() => Evaluate(
            parsed.GetRequiredValue(model).FullName,
            new EvaluationOptions(
                Dataset(parsed.GetRequiredValue(data).FullName, [("text_column", parsed.GetValue(text)), ("label_column", parsed.GetValue(label)), .. (parsed.GetValue(columns) ?? []).Select(Named)]),
                Task(parsed.GetValue(task)),
                parsed.GetValue(baseModel)?.FullName,
                parsed.GetValue(length),
                parsed.GetValue(batch),
                parsed.GetValue(abstainBelow)),
            parsed.GetValue(device))));
        return command;
    }

    private static int Evaluate(string folder, EvaluationOptions options, string? device)
    {
        var evaluation = new FolderEvaluation(folder, options);
        foreach (var note in evaluation.Notes)
            Console.WriteLine(note);
        var scores = evaluation.Run(DeviceOption.Choose(device));
        foreach (var (name, value) in scores.Metrics)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-24} {value:G6}"));
        if (scores.ConfusionMatrix is { } confusion)
            Console.WriteLine($"confusion (rows are true) {JsonSerializer.Serialize(scores.Labels)} {JsonSerializer.Serialize(confusion)}");
        return TrainerExit.Succeeded;
    }

    private static TrainingTaskConfig? Task(string? given) =>
        given is null ? null : (TrainingTaskConfig)Read<TaskConfig>(given.StartsWith('{') ? JsonContract.Parse(System.Text.Encoding.UTF8.GetBytes(given)) : JsonSerializer.SerializeToElement(given));

    private static DatasetSpec Dataset(string path, IEnumerable<(string Name, string? Column)> columns)
    {
        var json = new JsonObject { ["train"] = path };
        foreach (var (name, column) in columns.Where(entry => entry.Column is not null))
            json[name] = column;
        return Read<DatasetSpec>(JsonSerializer.SerializeToElement(json));
    }

    private static (string Name, string? Column) Named(string option) => option.Split('=', 2) is [var name, { Length: > 0 } column]
        ? (name, column)
        : throw new FaultException("--column", option, "This names no column.", "Write it as text_column=review.");

    private static T Read<T>(JsonElement json)
    {
        var faults = new FaultList();
        var sound = new JsonContract(Catalog.Json, faults).Read<T>(json);
        faults.ThrowIfAny();
        return sound.Deserialize<T>(Catalog.Json)!;
    }
}
