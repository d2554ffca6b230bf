using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;
using TorchSharp;

namespace FineTuneService.Training.Tests.Checkpoints;

public sealed class StoredCopiesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("copies-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("bert-mlm", "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight")]
    [InlineData("bert-mlm", "cls.predictions.bias", "cls.predictions.decoder.bias")]
    [InlineData("roberta-mlm", "lm_head.bias", "lm_head.decoder.bias")]
    [InlineData("distilbert-mlm", "distilbert.embeddings.word_embeddings.weight", "vocab_projector.weight")]
    [InlineData("electra-mlm", "electra.embeddings.word_embeddings.weight", "generator_lm_head.weight")]
    [InlineData("modernbert-mlm", "model.embeddings.tok_embeddings.weight", "decoder.weight")]
    [InlineData("deberta-v3-mlm", "cls.predictions.bias", "cls.predictions.decoder.bias")]
    public void A_tied_tensor_is_read_under_either_name_and_written_once(string golden, string key, string copy)
    {
        var source = Path.Combine(AppContext.BaseDirectory, "Fixtures", "models", golden);
        var config = PretrainedConfig.Read(source);
        using var reader = SafetensorsReader.Open(source);
        SafetensorsWriter.Write(Path.Combine(_folder, "model.safetensors"), reader.Entries.Keys.Select(name => (name == key ? copy : name, reader.Read(name))));
        using var model = config.Create(ModelHead.MaskedLm);

        Assert.Empty(PretrainedFolder.LoadWeights(_folder, model, seed: 0).NewKeys);
        Assert.Equal(0, (reader.Read(key) - model.state_dict()[key]).abs().max().ToDouble());
        Assert.DoesNotContain(copy, model.state_dict().Keys);
    }
}
