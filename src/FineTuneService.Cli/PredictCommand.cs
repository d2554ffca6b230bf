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
        var model = Verb.Folder("model", "Folder of a fine-tuned model or a PEFT adapter, such as a checkpoint.");
        var texts = new Argument<string[]>("texts") { Description = "Texts to classify.", Arity = ArgumentArity.ZeroOrMore };
        var stdin = new Option<bool>("--stdin") { Description = "Answer a JSON request a line until standard input ends." };
        var device = DeviceOption.Create();
        var baseModel = Verb.BaseOption();
        var uncalibrated = new Option<bool>("--uncalibrated") { Description = "Probabilities as transformers computes them, without the temperature of calibration.json." };
        var abstainBelow = new Option<double?>("--abstain-below") { Description = "Give no label to a text whose most probable class is less probable than this." };
        var command = new Command("predict", "Classify texts, or find entities in them.") { model, texts, stdin, device, baseModel, uncalibrated, abstainBelow };
        command.SetAction(parsed => Verb.Run(() =>
        {
            Classifier Load() => Classifier.Load(parsed.GetRequiredValue(model).FullName, DeviceOption.Choose(parsed.GetValue(device)), parsed.GetValue(baseModel)?.FullName);
            return parsed.GetValue(stdin) ? Serve(Load) : Predict(Load, new()
            {
                Inputs = [.. (parsed.GetValue(texts) ?? []).Select(text => new PredictInput { Text = text })],
                Calibrated = !parsed.GetValue(uncalibrated),
                AbstainBelow = parsed.GetValue(abstainBelow),
            });
        }));
        return command;
    }

    private static int Predict(Func<Classifier> load, PredictRequest request)
    {
        using var classifier = load();
        foreach (var prediction in classifier.Predict(request))
            Console.WriteLine(JsonSerializer.Serialize(prediction, SnakeCaseJson.Options));
        return 0;
    }

    private static int Serve(Func<Classifier> load)
    {
        Classifier classifier;
        try
        {
            classifier = load();
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
            var request = JsonSerializer.Deserialize<PredictRequest>(line, SnakeCaseJson.Options)!;
            return new() { Predictions = classifier.Predict(request), Temperature = request.Calibrated ? classifier.Temperature : null };
        }
        catch (FaultException error)
        {
            return new() { Faults = error.Faults };
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
