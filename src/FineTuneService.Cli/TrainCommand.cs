using System.CommandLine;
using System.Diagnostics;
using FineTuneService.Contracts;
using FineTuneService.Training;
using FineTuneService.Training.Distributed;
using FineTuneService.Training.Native;

namespace FineTuneService.Cli;

/// <summary><c>finetune train RUN</c>: trains what RUN/job.json describes, or continues it from its newest checkpoint.</summary>
internal static class TrainCommand
{
    private const string Supervised = "--supervised", Progress = "--progress";
    private static readonly TimeSpan LockPatience = TimeSpan.FromSeconds(20), LockPause = TimeSpan.FromMilliseconds(100);

    public static Command Create()
    {
        var run = Verb.Folder("run", "Folder of the run: it holds job.json, and gets events.jsonl and checkpoints/.");
        var supervised = new Option<bool>(Supervised) { Description = "Stop on the line 'stop' of standard input, and die when that input ends." };
        var progress = new Option<bool>(Progress) { Description = "Show how training goes also under a supervisor." };
        var attempt = new Option<int?>("--attempt") { Description = "Number of this attempt. Default: one more than the last in the log." };
        var device = DeviceOption.Create();
        var memory = new Option<string?>("--memory-limit") { Description = "The most memory that this process may take from the host, such as 8GiB: a run that needs more helps itself with smaller micro-batches. Default: none." };
        var command = new Command("train", "Train a run, or continue it.") { run, supervised, progress, attempt, device, memory };
        command.SetAction(parsed => Verb.Run(() =>
        {
            if (parsed.GetValue(memory) is { } limit)
                MemoryLimit.Set(MemoryLimit.Parse(memory.Name, limit));
            var exitCode = Train(
                new RunFolder(parsed.GetRequiredValue(run).FullName), parsed.GetValue(supervised), parsed.GetValue(progress), parsed.GetValue(attempt), parsed.GetValue(device));
            if (exitCode == TrainerExit.Restart && !Ranks.AreHere)
                ProcessImage.Replace();
            return exitCode;
        }));
        return command;
    }

    /// <returns>The exit code; <see cref="TrainerExit.Restart"/> when the run wants to begin anew, and everything that it held is free.</returns>
    private static int Train(RunFolder folder, bool supervised, bool progress, int? attempt, string? device)
    {
        if (!Directory.Exists(folder.Path))
            throw new FaultException(folder.Path, null, "There is no such folder.", "Make it, and put a job.json into it (samples/jobs has some to copy).");
        if (!Ranks.AreHere && Devices(folder) is > 1 and var devices)
        {
            using var supervision = new Supervision(supervised);
            var arguments = Environment.GetCommandLineArgs()[1..];
            return MpiLaunch.Run(devices, supervised ? arguments : [.. arguments, Supervised, Progress], supervision.Stop);
        }
        var ranks = Ranks.Join();
        var exitCode = ranks.IsFirst ? Lead(folder, supervised, progress || !supervised, attempt, device, ranks) : Follow(folder, device, ranks);
        if (exitCode is TrainerExit.Succeeded or TrainerExit.Stopped)
            ranks.Finish();
        else
            ranks.Abort(exitCode);
        return ranks.IsFirst || exitCode != TrainerExit.Stopped ? exitCode : TrainerExit.Succeeded;
    }

    private static int Lead(RunFolder folder, bool supervised, bool progress, int? attempt, string? device, Ranks ranks)
    {
        // The trainer of an attempt that was taken for dead sees soon that it is replaced; a user's own one does not.
        using var held = TryLock(folder.Lock, supervised ? LockPatience : TimeSpan.Zero);
        if (held is null)
        {
            Console.Error.WriteLine($"error: another trainer works on {folder.Path}.");
            return TrainerExit.Busy;
        }
        using var supervision = supervised && attempt is not null ? new Supervision(folder, attempt.Value) : new Supervision(supervised);
        using var log = new EventLog(folder.Events, attempt, TimeProvider.System);
        if (progress)
            log.Written += new ProgressDisplay(Console.Out, live: !Console.IsOutputRedirected).Show;
        try
        {
            using var run = ranks.FirstAlone(() => TrainingRun.Prepare(folder, DeviceOption.Choose(device, ranks.Rank), log.Append, TimeProvider.System, ranks));
            return ExitCode(run.Trainer.Train(supervision.Stop), supervision);
        }
        catch (FaultException error)
        {
            log.Append(new RunFailed { Reason = error.Faults[0].Message, Faults = error.Faults });
            Verb.Tell(error.Faults);
            return TrainerExit.Faulted;
        }
        catch (Exception error) when (FullDisk.Is(error))
        {
            return Verb.Tell(error);
        }
        catch (Exception error)
        {
            log.Append(new RunFailed { Reason = $"{error.GetType().Name}: {error.Message}", Faults = [] });
            Console.Error.WriteLine(error);
            return TrainerExit.Crashed;
        }
    }

    /// <summary>Computes its share; rank 0 does all else.</summary>
    private static int Follow(RunFolder folder, string? device, Ranks ranks)
    {
        using var supervision = new Supervision(supervised: false);
        try
        {
            using var run = ranks.FirstAlone(() => TrainingRun.Prepare(folder, DeviceOption.Choose(device, ranks.Rank), _ => { }, TimeProvider.System, ranks));
            return ExitCode(run.Trainer.Train(supervision.Stop), supervision);
        }
        catch (Exception error)
        {
            Console.Error.WriteLine($"rank {ranks.Rank}: {error}");
            supervision.Stop.WaitHandle.WaitOne(TimeSpan.FromSeconds(5)); // What troubles one mostly troubles all: then rank 0 tells it, and ends this process.
            return TrainerExit.Crashed;
        }
    }

    private static int ExitCode(TrainingEnd end, Supervision supervision) => end switch
    {
        TrainingEnd.Completed => TrainerExit.Succeeded,
        TrainingEnd.Restart when !supervision.Stop.IsCancellationRequested => TrainerExit.Restart,
        _ => TrainerExit.Stopped, // The last checkpoint is what it leaves.
    };

    /// <summary>1 also where the specification has faults: it is read again by the run, which tells them.</summary>
    private static int Devices(RunFolder folder)
    {
        try
        {
            return File.Exists(folder.Job) ? JobSpecReader.Read(File.ReadAllBytes(folder.Job)).Devices : 1;
        }
        catch (FaultException)
        {
            return 1;
        }
    }

    private static FileStream? TryLock(string path, TimeSpan patience)
    {
        using var pause = new ManualResetEventSlim();
        for (var began = Stopwatch.GetTimestamp(); ;)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException error) when (!FullDisk.Is(error))
            {
                if (Stopwatch.GetElapsedTime(began) >= patience)
                    return null;
                pause.Wait(LockPause);
            }
        }
    }
}
