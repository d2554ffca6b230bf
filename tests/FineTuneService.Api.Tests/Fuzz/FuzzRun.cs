using System.Diagnostics;
using FineTuneService.Contracts;

namespace FineTuneService.Api.Tests.Fuzz;

/// <summary>Gives a reader spoilt inputs, one after another, and counts what came of each that it neither read nor refused as it should.</summary>
/// <param name="firstSeed">Of the first input; each has the next.</param>
internal sealed class FuzzRun(FuzzedReader reader, int firstSeed, int inputs, FuzzTally tally)
{
    private const int Stack = 1 << 20; // What a thread has where the C library is musl: less than with glibc.
    private const string Memory = "/dev/shm"; // Nobody wants these files on a disk.

    private (int Seed, byte[] Input, long Started) _current = (firstSeed, [], Stopwatch.GetTimestamp());

    public async Task Run()
    {
        var ended = new TaskCompletionSource();
        new Thread(() => Work(ended), Stack) { IsBackground = true, Name = reader.File }.Start();
        while (await Task.WhenAny(ended.Task, Task.Delay(200, Api.Cancel)) != ended.Task)
        {
            Api.Cancel.ThrowIfCancellationRequested();
            var (seed, input, started) = _current;
            if (Stopwatch.GetElapsedTime(started) is var took && FuzzTally.IsTooLong(took))
            {
                tally.Count(seed, input, took, isTaken: false, "has no end yet");
                return; // The thread is lost; the process will end soon.
            }
        }
        await ended.Task;
    }

    private void Work(TaskCompletionSource ended)
    {
        var folder = Directory.CreateDirectory(Path.Combine(Memory, $"finetune-fuzz-{Guid.NewGuid():N}"));
        // An overflowing stack ends the process: this file, left behind, then tells at which seed.
        using var last = new StreamWriter(Path.Combine(Path.GetTempPath(), $"finetune-fuzz-{reader.File}.seed")) { AutoFlush = true };
        try
        {
            for (var seed = firstSeed; seed < firstSeed + inputs && !tally.HasEnough && !Api.Cancel.IsCancellationRequested; seed++)
            {
                last.BaseStream.Position = 0;
                last.WriteLine(seed);
                var mutator = new Mutator(seed);
                var input = reader.Spoil(mutator, mutator.OneOf(reader.Corpus));
                _current = (seed, input, Stopwatch.GetTimestamp());
                File.WriteAllBytes(Path.Combine(folder.FullName, reader.File), input);
                var (isTaken, problem) = Read(folder.FullName, input);
                tally.Count(seed, input, Stopwatch.GetElapsedTime(_current.Started), isTaken, problem);
            }
            ended.SetResult();
        }
        catch (Exception error)
        {
            ended.SetException(error);
        }
        folder.Delete(recursive: true);
        File.Delete(((FileStream)last.BaseStream).Name);
    }

    private (bool IsTaken, string? Problem) Read(string folder, byte[] input)
    {
        var (before, isTaken) = (GC.GetAllocatedBytesForCurrentThread(), true);
        try
        {
            reader.Read(folder, input);
        }
        catch (FaultException refused) when (refused.Faults.Count > 0 && refused.Faults.All(fault => fault.Message.Length > 0 && fault.Remedy.Length > 0))
        {
            isTaken = false;
        }
        catch (Exception error)
        {
            return (false, $"{error.GetType().Name}: {error.Message} {error.StackTrace?.Split('\n').FirstOrDefault(line => line.Contains("FineTuneService", StringComparison.Ordinal))?.Trim()}");
        }
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        return (isTaken, allocated > reader.MostAllocated ? $"allocates {allocated >> 20} MB for {input.Length} bytes" : null);
    }
}
