using System.CommandLine;
using FineTuneService.Contracts;
using FineTuneService.Training;
using FineTuneService.Training.Native;

namespace FineTuneService.Cli;

/// <summary><c>finetune train RUN</c>: trains what RUN/job.json describes, or continues it from its newest checkpoint.</summary>
internal static class TrainCommand
{
    public static Command Create()
    {
        var run = Verb.Folder("run", "Folder of the run: it holds job.json, and gets events.jsonl and checkpoints/.");
        var supervised = new Option<bool>("--supervised") { Description = "Stop on the line 'stop' of standard input, and die when that input ends." };
        var attempt = new Option<int?>("--attempt") { Description = "Number of this attempt. Default: one more than the last in the log." };
        var device = DeviceOption.Create();
        var memory = new Option<string?>("--memory-limit") { Description = "The most memory that this process may take from the host, such as 8GiB: a run that needs more helps itself with smaller micro-batches. Default: none." };
        var command = new Command("train", "Train a run, or continue it.") { run, supervised, attempt, device, memory };
        command.SetAction(parsed => Verb.Run(() =>
        {
            if (parsed.GetValue(memory) is { } limit)
                MemoryLimit.Set(MemoryLimit.Parse(memory.Name, limit));
            var exitCode = Train(new RunFolder(parsed.GetRequiredValue(run).FullName), parsed.GetValue(supervised), parsed.GetValue(attempt), parsed.GetValue(device));
            if (exitCode is null)
                ProcessImage.Replace();
            return exitCode!.Value;
        }));
        return command;
    }

    /// <returns>The exit code; null when the run wants to begin anew, and everything that it held is free.</returns>
    private static int? Train(RunFolder folder, bool supervised, int? attempt, string? device)
    {
        if (!Directory.Exists(folder.Path))
            throw new FaultException(folder.Path, null, "There is no such folder.", "Make it, and put a job.json into it (samples/jobs has some to copy).");
        using var held = TryLock(folder.Lock);
        if (held is null)
        {
            Console.Error.WriteLine($"error: another trainer works on {folder.Path}.");
            return TrainerExit.Busy;
        }
        using var supervision = new Supervision(supervised);
        using var log = new EventLog(folder.Events, attempt, TimeProvider.System);
        if (!supervised)
            log.Written += new ProgressDisplay(Console.Out, live: !Console.IsOutputRedirected).Show;
        try
        {
            using var run = TrainingRun.Prepare(folder, DeviceOption.Choose(device), log.Append, TimeProvider.System);
            return run.Trainer.Train(supervision.Stop) switch
            {
                TrainingEnd.Completed => TrainerExit.Succeeded,
                TrainingEnd.Stopped => TrainerExit.Stopped,
                _ when supervision.Stop.IsCancellationRequested => TrainerExit.Stopped, // The last checkpoint is what it leaves.
                _ => null,
            };
        }
        catch (FaultException error)
        {
            log.Append(new RunFailed { Reason = error.Faults[0].Message, Faults = error.Faults });
            Verb.Tell(error.Faults);
            return TrainerExit.Faulted;
        }
        catch (Exception error)
        {
            log.Append(new RunFailed { Reason = $"{error.GetType().Name}: {error.Message}", Faults = [] });
            Console.Error.WriteLine(error);
            return TrainerExit.Crashed;
        }
    }

    private static FileStream? TryLock(string path)
    {
        try
        {
            return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            return null;
        }
    }
}
