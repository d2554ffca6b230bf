using System.CommandLine;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;

namespace FineTuneService.Cli;

/// <summary><c>finetune merge ADAPTER OUT</c>: an adapter and its base as one whole model, in the hub's layout.</summary>
internal static class MergeCommand
{
    public static Command Create()
    {
        var adapter = Verb.Folder("adapter", "Folder of a PEFT adapter, such as a checkpoint.");
        var output = new Argument<DirectoryInfo>("out") { Description = "Folder of the merged model; must not exist yet." };
        var model = Verb.BaseOption();
        var command = new Command("merge", "Bring an adapter into the weights of its base model.") { adapter, output, model };
        command.SetAction(parsed => Verb.Run(() => Merge(parsed.GetRequiredValue(adapter).FullName, parsed.GetRequiredValue(output).FullName, parsed.GetValue(model)?.FullName)));
        return command;
    }

    private static int Merge(string adapter, string output, string? baseFolder)
    {
        if (Path.Exists(output))
            throw new FaultException("out", output, "This exists already.", "Name a folder that does not.");
        AdapterFolder.Read(adapter); // What is no adapter is refused.
        var folder = FineTunedFolder.Open(adapter, baseFolder);
        using var model = folder.Load(folder.Head ?? folder.Config.Heads.Keys.First());
        // Renamed when it is whole: a half-written model must not look like one.
        var draft = output + ".draft";
        Directory.CreateDirectory(draft);
        try
        {
            PretrainedFolder.Save(draft, model);
            foreach (var file in folder.TokenizerFiles)
                File.Copy(file, Path.Combine(draft, Path.GetFileName(file)), overwrite: true);
            if (Path.Combine(adapter, Calibration.FileName) is var calibration && File.Exists(calibration))
                File.Copy(calibration, Path.Combine(draft, Calibration.FileName));
            Directory.Move(draft, output);
        }
        catch
        {
            Directory.Delete(draft, recursive: true); // What has no room there needs it most.
            throw;
        }
        Console.WriteLine($"{output}: {model.Architecture}, {model.ParameterCount:N0} parameters");
        return TrainerExit.Succeeded;
    }
}
