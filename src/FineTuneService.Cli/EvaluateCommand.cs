using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;
using TorchSharp;

namespace FineTuneService.Cli;

/// <summary><c>finetune evaluate MODEL DATA</c>: the metrics of a fine-tuned model on a labelled file.</summary>
internal static class EvaluateCommand
{
    public static Command Create()
    {
        var model = Verb.Folder("model", "Folder of a fine-tuned model or a PEFT adapter, such as a checkpoint.");
        var data = new Argument<FileInfo>("data") { Description = "Labelled rows: csv, tsv or jsonl." };
        var text = new Option<string?>("--text-column") { Description = "Column with the text. Default: the usual names." };
        var label = new Option<string?>("--label-column") { Description = "Column with the label. Default: the usual names." };
        var batch = new Option<int>("--batch-size") { Description = "Rows at a time.", DefaultValueFactory = _ => 32 };
        var device = DeviceOption.Create();
        var baseModel = Verb.BaseOption();
        var command = new Command("evaluate", "Score a fine-tuned model on labelled rows.") { model, data, text, label, batch, device, baseModel };
        command.SetAction(parsed => Verb.Run(() => Evaluate(
            FineTunedFolder.Open(parsed.GetRequiredValue(model).FullName, parsed.GetValue(baseModel)?.FullName),
            new DatasetSpec { Train = parsed.GetRequiredValue(data).FullName, ValidationSplit = 0, TextColumn = parsed.GetValue(text), LabelColumn = parsed.GetValue(label) },
            parsed.GetValue(batch),
            parsed.GetValue(device))));
        return command;
    }

    private static int Evaluate(FineTunedFolder folder, DatasetSpec dataset, int batchSize, string? device)
    {
        dataset = SpecResolver.ResolveColumns(new TextClassificationConfig(), dataset, DataFile.Open(dataset.Train).FirstColumns());
        var task = TextClassificationTask.ForEvaluation(dataset, folder.Config, Tokenizer.Load(folder.TokenizerFolder));
        using var model = folder.Load(ModelHead.SequenceClassification);
        var here = DeviceOption.Choose(device);
        model.to(here);
        var scores = Evaluation.Run(model, task, task.Train, batchSize, here, "", TimeProvider.System);
        foreach (var (name, value) in scores.Metrics)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-24} {value:G6}"));
        if (scores.ConfusionMatrix is { } confusion)
            Console.WriteLine($"confusion (rows are true) {JsonSerializer.Serialize(scores.Labels)} {JsonSerializer.Serialize(confusion)}");
        return 0;
    }
}
