using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;

namespace FineTuneService.Training.Tests.DataQuality;

public sealed class DataCleanerTests : IDisposable
{
    private readonly QualityFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Each_rule_drops_what_it_names_and_the_rest_stays_as_it_was()
    {
        _folder.Write("train.csv", """
            id;text;label
            1;"A warm; funny ""film"" for all of my family";good
            2;a WARM
            3;hm;bad
            4;a second sentence about something else altogether;bad
            5;A second sentence about  something else altogether;bad
            6;this text is praised by two and damned by one;good
            7;this text is praised by two and damned by one;bad
            8;This text is praised by two and damned by one;good
            9;my number is +49 170 1234567 if you want to talk;good
            10;a person wants this row to go away at once;good
            11;a person says that this one is bad indeed;good
            12;this one stands among those of the test as well;good
            13;no;bad
            """.ReplaceLineEndings("\n"));
        _folder.Write("test.csv", "id;text;label\n1;This one stands among those of the test as well;good\n", DataSplit.Test);

        var (result, folder, ledger) = _folder.Clean(new()
        {
            MinCharacters = 3,
            ExactDuplicates = true,
            ConflictingLabels = ConflictingLabelsAction.Majority,
            Leakage = LeakageAction.Train,
            PersonalData = PersonalDataAction.Mask,
            Drop = [new([11])],
            Relabel = [new() { Line = 12, Label = "bad" }],
            Keep = [new([14])],
        });

        var rows = QualityFolder.Rows(folder, DataSplit.Train, "csv").ToDictionary(row => (string)row["id"]!);
        Assert.Equal(["1", "4", "6", "9", "11", "13"], rows.Keys);
        Assert.Equal("A warm; funny \"film\" for all of my family", rows["1"]["text"]);
        Assert.Equal("my number is [phone] if you want to talk", rows["9"]["text"]);
        Assert.Equal("bad", rows["11"]["label"]);
        Assert.StartsWith("id;text;label\n", File.ReadAllText(folder.Data(DataSplit.Train, "csv")), StringComparison.Ordinal);
        Assert.Equal(
            [(3, DataIssue.Unreadable), (4, DataIssue.TooShort), (6, DataIssue.ExactDuplicate), (8, DataIssue.ConflictingLabels), (9, DataIssue.ExactDuplicate), (11, DataIssue.Chosen), (13, DataIssue.Leakage)],
            ledger.Where(line => line.Dropped is not null).Select(line => ((int)line.Line, line.Dropped!.Value)));
        Assert.Equal((5, DataSplit.Train), ((int)ledger[4].Other!.Line, ledger[4].Other!.Split));
        Assert.Equal((1L, DataSplit.Test), (result.Ledgers[1].Used, ledger[11].Other!.Split));
        Assert.Equal((2L, 1), (result.Ledgers[0].Changed, ledger.Single(line => line.Line == 10).Masked));
        Assert.Equal("bad", ledger.Single(line => line.Line == 12).Label);
    }

    [Fact]
    public void Rows_keep_their_types_and_their_messages()
    {
        const string First = """{"messages":[{"role":"user","content":"Mail me: a@b.org"},{"role":"assistant","content":"Done – “gladly”"}],"n":3,"flag":true,"ratio":0.5}""";
        const string Second = """{"messages":[{"role":"user","content":"Another question than that"},{"role":"assistant","content":"An answer"}],"n":4}""";
        _folder.Write("train.jsonl", $"{First}\n{Second}\n");

        var (_, same, _) = _folder.Clean(new());
        Assert.Equal($"{First}\n{Second}\n", File.ReadAllText(same.Data(DataSplit.Train, "jsonl")));

        var (_, masked, _) = _folder.Clean(new() { PersonalData = PersonalDataAction.Mask });
        Assert.Equal($"{First.Replace("a@b.org", "[email]", StringComparison.Ordinal)}\n{Second}\n", File.ReadAllText(masked.Data(DataSplit.Train, "jsonl")));
    }

    /// <summary>Copies and edited copies of one text lie on one side, whatever the seed; classes are held out in equal shares.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(42)]
    public void Groups_of_duplicates_never_straddle_the_split(int seed)
    {
        var random = new Random(seed);
        var lines = new List<(string Group, string Text, string Label)>();
        for (var group = 0; group < 300; group++)
        {
            var words = Enumerable.Range(0, 14).Select(_ => new string([.. Enumerable.Range(0, 6).Select(_ => (char)('a' + random.Next(26)))])).ToArray();
            for (var copy = random.Next(4); copy >= 0; copy--)
            {
                var edited = words.ToList();
                if (copy == 1)
                    edited.RemoveAt(random.Next(edited.Count));
                if (copy == 2)
                    edited[3] = edited[3].ToUpperInvariant();
                if (copy == 3)
                    edited.Add("thanks");
                lines.Add((group.ToString(System.Globalization.CultureInfo.InvariantCulture), string.Join(' ', edited), group % 3 == 0 ? "rare" : "usual"));
            }
        }
        var shuffled = lines.ToArray();
        random.Shuffle(shuffled);
        _folder.Write("train.csv", "group,text,label\n" + string.Concat(shuffled.Select(row => $"{row.Group},{row.Text},{row.Label}\n")));

        var (result, folder, _) = _folder.Clean(new() { ValidationSplit = 0.2, Seed = seed });

        DataRow[] train = QualityFolder.Rows(folder, DataSplit.Train, "csv"), validation = QualityFolder.Rows(folder, DataSplit.Validation, "csv");
        Assert.Equal(shuffled.Length, train.Length + validation.Length);
        Assert.Empty(train.Select(row => row["group"]).Intersect(validation.Select(row => row["group"])));
        foreach (var label in new[] { "rare", "usual" })
            Assert.InRange(validation.Count(row => label.Equals(row["label"])) / (double)shuffled.Count(row => row.Label == label), 0.18, 0.22);
        Assert.Equal(validation.Length, result.Ledgers[0].HeldOut);
    }

    [Fact]
    public void The_same_recipe_gives_the_same_bytes_and_so_does_the_one_that_comes_back()
    {
        _folder.Write("train.csv", "text,label\n" + string.Concat(PlantedFaults.Sst2().Take(200).Select(row => $"\"{row.Text}\",{row.Label}\n")));
        var recipe = new CleaningRecipe { ValidationSplit = 0.1, Augmentation = new() { Copies = 2, Deletion = 0.1, Swap = 0.1, Case = 0.1, Typos = 0.1 }, SuspectedMislabels = new() { Action = MislabelCure.Relabel } };

        var (first, folder, ledger) = _folder.Clean(recipe);
        var (second, again, _) = _folder.Clean(recipe);
        var (third, _, _) = _folder.Clean(first.Recipe);
        var (other, _, _) = _folder.Clean(recipe with { Seed = 43 });

        Assert.Equal(first.Sha256, second.Sha256);
        Assert.Equal(first.Sha256, third.Sha256);
        Assert.NotEqual(first.Files[0].Sha256, other.Files[0].Sha256);
        Assert.Equal(File.ReadAllBytes(folder.Ledger), File.ReadAllBytes(again.Ledger));
        Assert.Equal(JsonSerializer.Serialize(first, SnakeCaseJson.Options), File.ReadAllText(folder.Result));
        Assert.Equal(first.Recipe.Columns, JsonSerializer.Deserialize<CleaningResult>(File.ReadAllText(folder.Result), SnakeCaseJson.Options)!.Recipe.Columns);
        Assert.InRange(first.Ledgers[0].Augmented, 200, 360); // Some copies come out as they were; held-out rows have none.
        Assert.Equal(first.Files.Single(file => file.Split == DataSplit.Train).Rows, first.Ledgers[0].Used - first.Ledgers[0].HeldOut + first.Ledgers[0].Augmented);
        Assert.Equal(first.Ledgers[0].HeldOut, QualityFolder.Rows(folder, DataSplit.Validation, "csv").Length);
        Assert.Equal(200, ledger.Length);
    }

    [Fact]
    public void Planted_wrong_labels_go_or_are_put_right()
    {
        var labels = PlantedFaults.Banking77().Select(row => row.Label).Distinct().Take(6).ToHashSet();
        var planted = new PlantedFaults(PlantedFaults.Banking77().Where(row => labels.Contains(row.Label)), seed: 3, copies: 0, leaks: 0);
        planted.WriteTo(_folder);

        var (_, _, dropped) = _folder.Clean(new() { SuspectedMislabels = new() });
        var (_, _, relabelled) = _folder.Clean(new() { SuspectedMislabels = new() { Action = MislabelCure.Relabel, Confidence = 0.8 } });

        Assert.True(dropped.Count(line => line.Dropped == DataIssue.SuspectedMislabel && planted.Flipped.ContainsKey(line.Line)) > 0.6 * planted.Flipped.Count);
        Assert.True(relabelled.Count(line => line.Label is not null && planted.Flipped.GetValueOrDefault(line.Line) == line.Label) > 0.4 * planted.Flipped.Count);
    }

    [Fact]
    public void A_recipe_that_does_not_fit_is_refused_with_its_place()
    {
        _folder.Write("train.csv", "text,label\nsome text,1\n");
        _folder.Write("validation.csv", "text,label\nsome other text,1\n", DataSplit.Validation);

        Assert.Equal("/validation_split", Assert.Throws<FaultException>(() => _folder.Clean(new() { ValidationSplit = 0.1 })).Faults.Single().Pointer);
        Assert.Equal(["/drop/0/lines", "/relabel/0/line"], Assert.Throws<FaultException>(() => _folder.Clean(new() { Drop = [new([17])], Relabel = [new() { Line = 1, Label = "2" }] })).Faults.Select(fault => fault.Pointer));
        Assert.Contains("No training row", Assert.Throws<FaultException>(() => _folder.Clean(new() { MinCharacters = 1000 })).Message, StringComparison.Ordinal);
    }

    /// <summary>Whatever is in a file: every row is told once, sums hold, and what is written is read without a fault.</summary>
    [Theory]
    [InlineData("csv")]
    [InlineData("tsv")]
    [InlineData("jsonl")]
    public void Ledgers_of_spoilt_files_sum(string format)
    {
        var random = new Random(5);
        var refused = 0;
        for (var round = 0; round < 60; round++)
        {
            _folder.Write($"train.{format}", Spoilt(random, format));
            try
            {
                var report = _folder.Report(new() { Columns = new() { TextColumn = "text", LabelColumn = "label" } });
                var (result, folder, _) = _folder.Clean(report.Recipe with { ValidationSplit = 0.2 });
                Assert.Equal(report.Files[0].Rows, result.Ledgers[0].Rows);
                Assert.True(result.Ledgers[0].Used <= report.Files[0].Used);
                Assert.Equal(result.Files[0].Rows, QualityFolder.Rows(folder, DataSplit.Train, format).Length);
            }
            catch (FaultException)
            {
                refused++; // No header, or nothing left.
            }
        }
        Assert.InRange(refused, 0, 20);
    }

    private static byte[] Spoilt(Random random, string format)
    {
        var delimiter = format == "tsv" ? '\t' : ',';
        var bytes = new List<byte>();
        if (format != "jsonl")
            bytes.AddRange(System.Text.Encoding.UTF8.GetBytes($"text{delimiter}label\n"));
        string[] texts = ["a plain sentence that is said more than once", "Ein Satz, den man nicht versteht und der für sich steht", "mail a@b.de", "", "x", "line\nbreak", "quote \" in it", "ünïcode ✓ 𝒳", "12 34 56 78 90"];
        for (var row = random.Next(5, 40); row > 0; row--)
        {
            var (text, label) = (texts[random.Next(texts.Length)] + (random.Next(3) == 0 ? $" {random.Next(50)}" : ""), random.Next(5) == 0 ? "" : random.Next(3).ToString(System.Globalization.CultureInfo.InvariantCulture));
            bytes.AddRange(System.Text.Encoding.UTF8.GetBytes(format switch
            {
                "jsonl" => JsonSerializer.Serialize(new { text, label }) + "\n",
                "csv" => $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\",{label}\n",
                _ => $"{text.Replace('\n', ' ')}\t{label}\n",
            }));
        }
        var header = format == "jsonl" ? 0 : 11;
        for (var fault = random.Next(6); fault > 0 && bytes.Count > header + 1; fault--)
        {
            var at = random.Next(header, bytes.Count);
            switch (random.Next(4))
            {
                case 0: bytes[at] = (byte)random.Next(256); break;
                case 1: bytes.RemoveAt(at); break;
                case 2: bytes.Insert(at, (byte)"\",\n\t{"[random.Next(5)]); break;
                default: bytes.RemoveRange(at, Math.Min(5, bytes.Count - at)); break;
            }
        }
        return [.. bytes];
    }
}
