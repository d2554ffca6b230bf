using System.Text.Json.Nodes;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Verification;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Checkpoints;

/// <summary>What goes in comes out: a folder that was trained for a step has the names, shapes and types of the one that transformers or PEFT wrote.</summary>
public sealed class ExportedFolderTests : IDisposable
{
    private static readonly string Root = Path.Combine(AppContext.BaseDirectory, "Fixtures", "models");

    private readonly string _folder = Directory.CreateTempSubdirectory("exported-").FullName;
    private readonly DisposeScope _scope = NewDisposeScope();

    public static TheoryData<string> Models => [.. Names.Where(name => !name.StartsWith("lora-", StringComparison.Ordinal))];

    public static TheoryData<string> Adapters => [.. Names.Where(name => name.StartsWith("lora-", StringComparison.Ordinal))];

    private static IEnumerable<string> Names => Directory.GetDirectories(Root).Select(folder => Path.GetFileName(folder)!);

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_trained_model_has_the_tensors_of_its_base(string name)
    {
        var source = Path.Combine(Root, name);
        var golden = GoldenCase.Read(source);
        Train(source, golden.Head, new FullFineTuningConfig(), source);

        Assert.Equal(Tensors(source), Tensors(_folder));
        Assert.NotEqual(Bytes(source), Bytes(_folder));
        var (before, after) = (Config(source), Config(_folder));
        Assert.Equal(golden.Architecture, (string?)after["architectures"]![0]);
        Assert.Empty(before.Where(member => !JsonNode.DeepEquals(member.Value, after[member.Key])).Select(member => member.Key));
        Assert.Empty(after.Select(member => member.Key).Except(before.Select(member => member.Key)).Except(["pad_token_id"]));
    }

    [Theory]
    [InlineData("bert-mlm", ModelHead.SequenceClassification, "bert.pooler.dense.bias bert.pooler.dense.weight classifier.bias classifier.weight")]
    [InlineData("bert-seqcls", ModelHead.TokenClassification, "")] // The same names.
    [InlineData("distilbert-mlm", ModelHead.SequenceClassification, "classifier.bias classifier.weight pre_classifier.bias pre_classifier.weight")]
    [InlineData("roberta-mlm", ModelHead.TokenClassification, "classifier.bias classifier.weight")]
    [InlineData("electra-mlm", ModelHead.SequenceClassification, "classifier.dense.bias classifier.dense.weight classifier.out_proj.bias classifier.out_proj.weight")]
    [InlineData("deberta-v3-mlm", ModelHead.TokenClassification, "classifier.bias classifier.weight")]
    [InlineData("gpt2-clm", ModelHead.SequenceClassification, "score.weight")]
    [InlineData("llama-clm", ModelHead.SequenceClassification, "score.weight")]
    [InlineData("llama-clm", ModelHead.TokenClassification, "score.bias score.weight")]
    public void Another_head_adds_its_own_tensors_and_no_others(string name, ModelHead head, string added)
    {
        var source = Path.Combine(Root, name);
        using var model = PretrainedConfig.Read(source).Create(head);
        var weights = new FullFineTuningConfig().Prepare(model, head, source, seed: 1);
        weights.Save(_folder);

        var (before, after) = (Tensors(source), Tensors(_folder));
        Assert.Equal(added, string.Join(' ', after.Keys.Except(before.Keys)));
        Assert.All(before.Keys.Except(after.Keys), key => Assert.False(key.StartsWith(model.BaseModelPrefix + ".", StringComparison.Ordinal) && !key.Contains("pooler", StringComparison.Ordinal), key));
        Assert.Equal(added.Length > 0 ? added.Split(' ') : [], weights.NewKeys.Where(key => !before.ContainsKey(key)).Order(StringComparer.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Adapters))]
    public void A_trained_adapter_has_the_tensors_that_PEFT_gives_it(string name)
    {
        var source = Path.Combine(Root, name);
        var baseFolder = Path.Combine(Root, GoldenCase.Parse<GoldenAdapter>(source).Base);
        Train(baseFolder, GoldenCase.Read(baseFolder).Head, AdapterFolder.Read(source).Config, baseFolder);

        Assert.Equal(Tensors(Path.Combine(source, AdapterFolder.WeightsFile)), Tensors(Path.Combine(_folder, AdapterFolder.WeightsFile)));
        Assert.False(File.Exists(Path.Combine(_folder, "model.safetensors")));
    }

    /// <summary>transformers 5 loads a model in the type of its folder and saves it in that type; float32 is what is trained, and what training goes on from.</summary>
    [Theory]
    [InlineData("llama-clm", ScalarType.BFloat16, "BF16", "torch_dtype")]
    [InlineData("bert-seqcls", ScalarType.BFloat16, "BF16", "dtype")]
    [InlineData("gpt2-clm", ScalarType.Float16, "F16", "dtype")]
    public void A_model_in_sixteen_bits_stays_one_and_loses_nothing_of_its_training(string name, ScalarType type, string stored, string member)
    {
        var source = Halved(name, type, member);
        var golden = GoldenCase.Read(Path.Combine(Root, name));
        var (model, weights) = Train(source, golden.Head, new FullFineTuningConfig(), Path.Combine(Root, name));
        var trained = model.state_dict().ToDictionary(entry => entry.Key, entry => entry.Value.clone());

        var proof = new ExportVerification(model, golden.Head, weights, source, () => Batch(golden), CPU).Prove(_folder);

        Assert.Equal(Tensors(source), Tensors(_folder));
        Assert.All(Tensors(_folder).Values, tensor => Assert.StartsWith(stored, tensor, StringComparison.Ordinal));
        Assert.Equal(type.ToString().ToLowerInvariant(), (string?)Config(_folder)["dtype"]);
        Assert.False(Config(_folder).ContainsKey("torch_dtype"));
        Assert.Equal(0, proof.ReadBackError);
        Assert.InRange(proof.OpenedError!.Value, 0, 1e-6); // Other addresses: products of few rows differ in their last bit.
        Assert.InRange(proof.Rounding!.Error, 1e-9, 0.5);
        Assert.All(model.state_dict(), entry => Assert.Equal(0, (entry.Value - trained[entry.Key]).abs().max().ToDouble()));
        using var published = FineTunedFolder.Open(_folder).Load(golden.Head);
        Assert.All(published.state_dict(), entry => Assert.Equal(0, (entry.Value - trained[entry.Key].to(type).to(ScalarType.Float32)).abs().max().ToDouble()));
    }

    private (PretrainedModel Model, TrainedWeights Weights) Train(string source, ModelHead head, TrainingMethodConfig method, string goldenFolder)
    {
        var config = PretrainedConfig.Read(source);
        var model = config.Create(head);
        var weights = method.Prepare(model, head, source, seed: 1);
        var golden = GoldenCase.Read(goldenFolder);
        var loss = new GoldenLoss(golden.Head, config.ProblemType ?? ProblemType.SingleLabelClassification);
        using (var optimizer = new AdamW(model, 0.01, 0.9, 0.999, 1e-8))
        {
            model.train();
            new TrainingStep(model, (net, batch) => new(loss.Sum(net.call(batch.Inputs), batch)), optimizer, 1).Run([Batch(golden)], 1e-3);
        }
        weights.Save(_folder);
        return (model, weights);
    }

    private static Batch Batch(GoldenCase golden) =>
        golden.Batches[0].ToBatch(golden.Head, PretrainedConfig.Read(Path.Combine(Root, golden.Case)).ProblemType ?? ProblemType.SingleLabelClassification);

    /// <summary>A golden folder in 16 bits, beside the exported one.</summary>
    private string Halved(string name, ScalarType type, string member)
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, "base")).FullName;
        using (var reader = SafetensorsReader.Open(Path.Combine(Root, name)))
            SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), reader.Entries.Keys.Select(key => (key, reader.Read(key))), floats: type);
        var config = Config(Path.Combine(Root, name));
        config.Remove("dtype");
        config[member] = type.ToString().ToLowerInvariant();
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        return folder;
    }

    private static SortedDictionary<string, string> Tensors(string path) => new(
        SafetensorsReader.ReadHeaders(path).Entries.ToDictionary(entry => entry.Key, entry => $"{entry.Value.Dtype} [{string.Join(", ", entry.Value.Shape)}]"), StringComparer.Ordinal);

    private static byte[] Bytes(string folder) => File.ReadAllBytes(Path.Combine(folder, "model.safetensors"));

    private static JsonObject Config(string folder) => JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!.AsObject();
}
