using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tests.Tokenization;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tests.Data;

public sealed class DatasetCacheTests : IDisposable
{
    private readonly LanguageFixtures _files = new();
    private readonly string _folder = Path.Combine(Directory.CreateTempSubdirectory("cache-").FullName, "datasets"); // Not made yet.
    private readonly SettableClock _clock = new();

    public void Dispose()
    {
        _files.Dispose();
        Directory.Delete(Path.GetDirectoryName(_folder)!, recursive: true);
    }

    public static TheoryData<string> Tasks => ["text-classification", "token-classification", "causal-lm", "masked-lm", "sft", "dpo"];

    [Theory, MemberData(nameof(Tasks))]
    public void Rows_from_the_cache_are_those_that_were_tokenized(string name)
    {
        var (task, dataset, tokenizer) = Job(name);
        var uncached = task.Load(dataset, Arguments, tokenizer);
        var made = task.Load(dataset, Arguments, tokenizer, Cache());
        var found = task.Load(dataset, Arguments, tokenizer, Cache());

        Assert.Single(Directory.GetDirectories(_folder));
        foreach (var cached in new[] { made, found })
        {
            Assert.Equal(uncached.Notes, cached.Notes);
            Assert.Equal(uncached.Truncated, cached.Truncated);
            Assert.Equal(Json(uncached.Samples), Json(cached.Samples));
            Assert.Equal(Json(uncached.SamplePrompts?.Prompts), Json(cached.SamplePrompts?.Prompts));
            Assert.Equal(Values(uncached.Train), Values(cached.Train));
            Assert.Equal(Values(uncached.Validation!), Values(cached.Validation!));
        }
    }

    [Fact]
    public void A_second_run_reads_no_text_and_another_file_or_option_is_another_dataset()
    {
        var built = 0;
        var (task, dataset, tokenizer) = Job("causal-lm");
        void Count(DatasetDraft draft) => built++;

        Cache().Get(Key(), Count);
        Cache().Get(Key(), Count);
        Assert.Equal(1, built);

        string[] keys =
        [
            Key(),
            DatasetKey.Of(task, dataset, Arguments with { MaxLength = 31 }, tokenizer),
            DatasetKey.Of(task, dataset, Arguments with { DataSeed = 7 }, tokenizer),
            DatasetKey.Of(new CausalLmConfig { Packing = false }, dataset, Arguments, tokenizer),
            DatasetKey.Of(task, dataset with { ValidationSplit = 0.3 }, Arguments, tokenizer),
            DatasetKey.Of(task, dataset, Arguments, Tokenizer.Load(GoldenTokenizers.Folder("bert-base-uncased"))),
        ];
        Assert.Equal(keys.Length, keys.Distinct().Count());
        Assert.Equal(Key(), DatasetKey.Of(task, dataset, Arguments with { LearningRate = 1, PerDeviceTrainBatchSize = 3 }, tokenizer));
        File.AppendAllText(dataset.Train, """{"text": "one row more"}""");
        Assert.DoesNotContain(Key(), keys);

        string Key() => DatasetKey.Of(task, dataset, Arguments, tokenizer);
    }

    [Theory]
    [InlineData("ids")]
    [InlineData("train.starts")]
    [InlineData("facts.json")]
    [InlineData("sums.json")]
    public void What_is_damaged_is_made_again(string file)
    {
        var (task, dataset, tokenizer) = Job("causal-lm");
        var expected = Values(task.Load(dataset, Arguments, tokenizer, Cache()).Train);
        var path = Path.Combine(Directory.GetDirectories(_folder).Single(), file);
        var sound = File.ReadAllBytes(path);

        foreach (var damage in new Action<byte[]>[] { bytes => File.WriteAllBytes(path, bytes[..^1]), bytes => File.WriteAllBytes(path, Flipped(bytes)), _ => File.Delete(path) })
        {
            damage(sound);
            Assert.Equal(expected, Values(task.Load(dataset, Arguments, tokenizer, Cache()).Train));
            Assert.Equal(sound, File.ReadAllBytes(path));
        }

        static byte[] Flipped(byte[] bytes)
        {
            var flipped = bytes.ToArray();
            flipped[bytes.Length / 2] ^= 1;
            return flipped;
        }
    }

    [Fact]
    public void Many_may_make_and_read_the_same_at_once()
    {
        var (task, dataset, tokenizer) = Job("sft");
        var loaded = new TrainingTask[8];
        Parallel.For(0, loaded.Length, at => loaded[at] = task.Load(dataset, Arguments, tokenizer, Cache()));

        Assert.Single(Directory.GetDirectories(_folder));
        Assert.All(loaded, one => Assert.Equal(Values(loaded[0].Train), Values(one.Train)));
    }

    [Fact]
    public void What_was_used_longest_ago_goes_first_and_stays_readable_to_whoever_has_it_open()
    {
        var cache = new DatasetCache(_folder, 30_000, _clock); // Three of about 8 kB.
        var first = Get("a");
        Get("b");
        Get("c");
        Get("a");
        Get("d");

        Assert.Equal(["a", "c", "d"], Directory.GetDirectories(_folder).Select(Path.GetFileName).Order());
        Get("e");
        Get("f");
        Assert.Equal(["d", "e", "f"], Directory.GetDirectories(_folder).Select(Path.GetFileName).Order());
        Assert.Equal(1999, first.Train.Ids(first.Train.Text(0, 0))[^1]);

        TokenizedDataset Get(string key)
        {
            _clock.Now += TimeSpan.FromMinutes(1);
            return cache.Get(key, draft => draft.Write("train", [new(draft.Add([.. Enumerable.Range(0, 2000)], []))]));
        }
    }

    [Fact]
    public void A_draft_that_fails_leaves_nothing_and_one_that_was_left_is_swept_out()
    {
        Assert.Throws<FaultException>(() => Cache().Get("a", _ => throw new FaultException("train.csv:1", null, "No.", "None.")));
        Assert.Empty(Directory.GetDirectories(_folder));

        var left = Directory.CreateDirectory(Path.Combine(_folder, "b.0123.draft"));
        File.WriteAllText(Path.Combine(left.FullName, "held"), "");
        left.LastWriteTimeUtc = _clock.Now.UtcDateTime.AddDays(-1);
        using (new FileStream(Path.Combine(left.FullName, "held"), FileMode.Open, FileAccess.ReadWrite, FileShare.None))
        {
            Cache().Get("c", _ => { });
            Assert.True(Directory.Exists(left.FullName));
        }
        Cache().Get("d", _ => { });
        Assert.False(Directory.Exists(left.FullName));
    }

    private static TrainingArguments Arguments => new() { MaxLength = 32 };

    private DatasetCache Cache() => new(_folder, 1 << 30, _clock);

    private (TrainingTaskConfig Task, DatasetSpec Dataset, Tokenizer Tokenizer) Job(string name)
    {
        var bert = name is "text-classification" or "token-classification" or "masked-lm";
        var lines = Enumerable.Range(0, 40).Select(row => (row % 13 == 12, name) switch
        {
            (true, "text-classification" or "causal-lm" or "masked-lm") => """{"text": " ", "label": "good"}""", // dropped
            (_, "text-classification") => $$"""{"text": "{{Words(row)}}", "label": "{{(row % 3 == 0 ? "good" : "bad")}}"}""",
            (_, "token-classification") => $$"""{"tokens": ["Ada", "Lovelace", "writes", "{{row}}"], "ner_tags": ["B-PER", "I-PER", "O", "O"]}""",
            (_, "sft") => $$"""{"messages": [{"role": "user", "content": "Number {{row}}?"}, {"role": "assistant", "content": "{{row % 9}}.", "weight": {{(row % 2 == 0 ? "0.5" : "1")}}}]}""",
            (_, "dpo") => $$"""{"prompt": "Say {{row}}:", "chosen": " yes {{row % 7}}", "rejected": " no"}""",
            _ => $$"""{"text": "{{Words(row)}}"}""",
        });
        var task = (TrainingTaskConfig)JobSpecReader.Read(System.Text.Encoding.UTF8.GetBytes($$"""{"base_model": "m", "task": "{{name}}", "dataset": {"train": "t"} }""")).Task;
        var dataset = new DatasetSpec { Train = _files.Write("train.jsonl", [.. lines]), ValidationSplit = 0.2 };
        return (task, SpecResolver.ResolveColumns(task, dataset, DataFile.Open(dataset.Train).FirstColumns()), bert ? Tokenizer.Load(GoldenTokenizers.Folder("bert-base-uncased")) : LanguageFixtures.Tokenizer);

        static string Words(int row) => string.Join(' ', Enumerable.Range(0, 3 + row % 11 * 4).Select(word => $"word{word + row}"));
    }

    private static string Json(object? value) => System.Text.Json.JsonSerializer.Serialize(value);

    /// <summary>All numbers of all rows.</summary>
    private static double[] Values(ExampleSet rows)
    {
        using var batch = rows.Collate([.. Enumerable.Range(0, rows.Count)]);
        return [.. new[] { batch.Inputs.InputIds, batch.Inputs.AttentionMask, batch.Inputs.PositionIds, batch.Labels, batch.Weights }.OfType<TorchSharp.torch.Tensor>()
            .SelectMany(tensor => tensor.to(TorchSharp.torch.ScalarType.Float64).data<double>().ToArray())];
    }

    private sealed class SettableClock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
