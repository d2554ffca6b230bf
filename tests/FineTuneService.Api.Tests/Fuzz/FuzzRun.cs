using System.Collections.Concurrent;
using System.Diagnostics;
using FineTuneService.Contracts;

namespace FineTuneService.Api.Tests.Fuzz;

/// <summary>Gives a reader spoilt inputs, one after another, and tells what came of each that it neither read nor refused as it should.</summary>
/// <param name="firstSeed">Of the first input; each has the next.</param>
internal sealed class FuzzRun(FuzzedReader reader, int firstSeed, int inputs)
{
    private const int Enough = 10, ShownBytes = 600;
    private const int Stack = 1 << 20; // What a thread has where the C library is musl: less than with glibc.
    private const string Memory = "/dev/shm"; // Nobody wants these files on a disk.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly ConcurrentQueue<string> _failures = new();
    private (int Seed, byte[] Input, long Started) _current = (firstSeed, [], Stopwatch.GetTimestamp());

    /// <returns>A line for each failure, with what is needed to repeat it.</returns>
    public async Task<IReadOnlyCollection<string>> Run()
    {
        var ended = new TaskCompletionSource();
        new Thread(() => Work(ended), Stack) { IsBackground = true, Name = reader.File }.Start();
        while (await Task.WhenAny(ended.Task, Task.Delay(200, Api.Cancel)) != ended.Task)
        {
            Api.Cancel.ThrowIfCancellationRequested();
            var (seed, input, started) = _current;
            if (Stopwatch.GetElapsedTime(started) > Patience)
                return [.. _failures, Told(seed, input, $"takes longer than {Patience}")]; // The thread is lost; the process will end soon.
        }
        await ended.Task;
        return _failures;
    }

    private void Work(TaskCompletionSource ended)
    {
        var folder = Directory.CreateDirectory(Path.Combine(Memory, $"finetune-fuzz-{Guid.NewGuid():N}"));
        // An overflowing stack ends the process: this file, left behind, then tells at which seed.
        using var last = new StreamWriter(Path.Combine(Path.GetTempPath(), $"finetune-fuzz-{reader.File}.seed")) { AutoFlush = true };
        try
        {
            for (var seed = firstSeed; seed < firstSeed + inputs && _failures.Count < Enough && !Api.Cancel.IsCancellationRequested; seed++)
            {
                last.BaseStream.Position = 0;
                last.WriteLine(seed);
                var mutator = new Mutator(seed);
                var input = reader.Spoil(mutator, mutator.OneOf(reader.Corpus));
                _current = (seed, input, Stopwatch.GetTimestamp());
                File.WriteAllBytes(Path.Combine(folder.FullName, reader.File), input);
                if (Problem(folder.FullName, input) is { } problem)
                    _failures.Enqueue(Told(seed, input, problem));
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

    private string? Problem(string folder, byte[] input)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            reader.Read(folder, input);
        }
        catch (FaultException refused) when (refused.Faults.Count > 0 && refused.Faults.All(fault => fault.Message.Length > 0 && fault.Remedy.Length > 0))
        {
        }
        catch (Exception error)
        {
            return $"{error.GetType().Name}: {error.Message} {error.StackTrace?.Split('\n').FirstOrDefault(line => line.Contains("FineTuneService", StringComparison.Ordinal))?.Trim()}";
        }
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        return allocated > reader.MostAllocated ? $"allocates {allocated >> 20} MB for {input.Length} bytes" : null;
    }

    private static string Told(int seed, byte[] input, string problem) =>
        $"seed {seed}: {problem}\n    {(input.Length <= ShownBytes ? Convert.ToBase64String(input) : $"{input.Length} bytes, which the seed makes again")}";
}
