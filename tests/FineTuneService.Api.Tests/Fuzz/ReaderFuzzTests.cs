using System.Diagnostics;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;

namespace FineTuneService.Api.Tests.Fuzz;

/// <summary>
/// Whatever a stranger's file holds, its reader reads it or refuses it with a <see cref="FaultException"/>: no other exception, no crash, no hang, no memory of the file's own choosing.
/// FUZZ_SEED=N repeats the input of that seed alone.
/// </summary>
public sealed class ReaderFuzzTests
{
    private const int Short = 250, Long = 9_000;
    private const long MostGrowth = 1L << 30;

    public static TheoryData<string> Readers => [.. FuzzedReader.All.Keys];

    [Theory, MemberData(nameof(Readers))]
    public Task A_spoilt_file_is_read_or_refused(string reader) => Fuzz(reader, 1, Short);

    [Theory, MemberData(nameof(Readers)), Trait("Suite", "fuzz")]
    public Task So_are_many(string reader) => Fuzz(reader, 1_000_000, Long);

    /// <summary>Or little would be reached by spoiling it. A few chat templates refuse a conversation that begins with the system's message.</summary>
    [Theory, MemberData(nameof(Readers))]
    public void Most_of_what_is_spoilt_is_sound(string reader)
    {
        var (folder, refusals) = (Directory.CreateTempSubdirectory("finetune-sound-"), new List<string>());
        foreach (var input in FuzzedReader.All[reader].Corpus)
        {
            File.WriteAllBytes(Path.Combine(folder.FullName, FuzzedReader.All[reader].File), input);
            if (Record.Exception(() => FuzzedReader.All[reader].Read(folder.FullName, input)) is { } refused)
                refusals.Add(refused.Message);
        }
        folder.Delete(recursive: true);

        Assert.True(4 * refusals.Count < FuzzedReader.All[reader].Corpus.Length, string.Join('\n', refusals));
    }

    [Theory]
    [InlineData("rows.csv", (byte)',')]
    [InlineData("rows.tsv", (byte)'\t')]
    public void A_file_of_delimiters_takes_no_memory(string name, byte delimiter)
    {
        const int Size = 32 << 20;
        var folder = Directory.CreateTempSubdirectory("finetune-delimiters-");
        var path = Path.Combine(folder.FullName, name);
        File.WriteAllBytes(path, [.. "a"u8, .. Enumerable.Repeat(delimiter, Size)]);
        var before = GC.GetAllocatedBytesForCurrentThread();

        Assert.Throws<FaultException>(() => DatasetProfiler.Profile(path));

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, Size / 4);
        folder.Delete(recursive: true);
    }

    private static async Task Fuzz(string reader, int firstSeed, int inputs)
    {
        var isLong = inputs == Long;
        if (Environment.GetEnvironmentVariable("FUZZ_SEED") is { } only)
            (firstSeed, inputs) = (int.Parse(only, System.Globalization.CultureInfo.InvariantCulture), 1);
        var (before, tally) = (Environment.WorkingSet, new FuzzTally(reader, inputs, Stopwatch.StartNew()));

        await new FuzzRun(FuzzedReader.All[reader], firstSeed, inputs, tally).Run();

        tally.Judge(print: isLong);
        using var process = Process.GetCurrentProcess();
        Assert.True(process.WorkingSet64 - before < MostGrowth, $"{reader}: the process grew by {(process.WorkingSet64 - before) >> 20} MB");
    }
}
