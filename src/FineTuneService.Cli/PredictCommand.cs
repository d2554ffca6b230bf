using System.CommandLine;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training;

namespace FineTuneService.Cli;

/// <summary><c>finetune predict MODEL TEXT…</c>; with <c>--stdin</c> a warm predictor for another program, see <see cref="PredictRequest"/>.</summary>
internal static class PredictCommand
{
    public static Command Create()
    {
        var model = Verb.Folder("model", "Folder of a fine-tuned model, such as a checkpoint.");
        var texts = new Argument<string[]>("texts") { Description = "Texts to classify.", Arity = ArgumentArity.ZeroOrMore };
        var stdin = new Option<bool>("--stdin") { Description = "Answer a JSON request a line until standard input ends." };
        var device = DeviceOption.Create();
        var command = new Command("predict", "Classify texts, or find entities in them.") { model, texts, stdin, device };
        command.SetAction(parsed => Verb.Run(() =>
        {
            var folder = parsed.GetRequiredValue(model).FullName;
            return parsed.GetValue(stdin) ? Serve(folder, parsed.GetValue(device)) : Predict(folder, parsed.GetValue(texts) ?? [], parsed.GetValue(device));
        }));
        return command;
    }

    private static int Predict(string folder, string[] texts, string? device)
    {
        using var classifier = Classifier.Load(folder, DeviceOption.Choose(device));
        foreach (var prediction in classifier.Predict([.. texts.Select(text => new PredictInput { Text = text })]))
            Console.WriteLine(JsonSerializer.Serialize(prediction, SnakeCaseJson.Options));
        return 0;
    }

    private static int Serve(string folder, string? device)
    {
        Classifier classifier;
        try
        {
            classifier = Classifier.Load(folder, DeviceOption.Choose(device));
        }
        catch (FaultException error)
        {
            Reply(new() { Faults = error.Faults });
            return TrainerExit.Faulted;
        }
        using (classifier)
        {
            Reply(new() { Ready = true });
            while (Console.In.ReadLine() is { } line)
                Reply(Answer(classifier, line));
        }
        return 0;
    }

    private static PredictReply Answer(Classifier classifier, string line)
    {
        try
        {
            return new() { Predictions = classifier.Predict(JsonSerializer.Deserialize<PredictRequest>(line, SnakeCaseJson.Options)!.Inputs) };
        }
        catch (JsonException error)
        {
            return new() { Faults = [new Fault("", null, $"The request is not understood: {error.Message}", "Send {\"inputs\": [{\"text\": \"…\"}]} in one line.")] };
        }
    }

    private static void Reply(PredictReply reply)
    {
        Console.Out.WriteLine(JsonSerializer.Serialize(reply, SnakeCaseJson.Options));
        Console.Out.Flush();
    }
}
