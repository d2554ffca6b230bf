using System.CommandLine;
using FineTuneService.Contracts;
using FineTuneService.Training.Native;

namespace FineTuneService.Cli;

/// <summary>What the verbs have in common: faults are told in words and end with exit code 2; a full disk, too, with one of its own.</summary>
internal static class Verb
{
    public static Argument<DirectoryInfo> Folder(string name, string description) => new(name) { Description = description };

    public static Option<DirectoryInfo?> BaseOption() => new("--base") { Description = "Folder of an adapter's base model. Default: where the adapter or its run says." };

    /// <summary>Runs <paramref name="act"/> with libtorch loaded.</summary>
    public static int Run(Func<int> act) => Tell(() =>
    {
        TorchLibrary.EnsureLoaded();
        return act();
    });

    public static int Tell(Func<int> act)
    {
        try
        {
            return act();
        }
        catch (FaultException error)
        {
            Tell(error.Faults);
            return TrainerExit.Faulted;
        }
        catch (Exception error) when (FullDisk.Is(error))
        {
            return Tell(error);
        }
    }

    /// <returns>The exit code.</returns>
    /// <param name="fullDisk">See <see cref="FullDisk"/>.</param>
    public static int Tell(Exception fullDisk)
    {
        Console.Error.WriteLine($"error: the disk is full: {fullDisk.GetBaseException().Message} Make room, and start the command again.");
        return TrainerExit.DiskFull;
    }

    public static void Tell(IEnumerable<Fault> faults)
    {
        foreach (var fault in faults)
            Console.Error.WriteLine($"error: {fault}");
    }
}
