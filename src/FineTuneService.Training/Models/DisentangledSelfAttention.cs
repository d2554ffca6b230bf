using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>What all layers share.</summary>
/// <param name="Mask">Who may see whom, <c>[batch, 1, seq, seq]</c>; null when all may.</param>
/// <param name="Positions">Bucket of query minus key, <c>[seq, seq]</c>; null without relative attention.</param>
/// <param name="Embeddings">Of the relative positions, <c>[2 · span, hidden]</c>.</param>
internal readonly record struct DebertaV2View(EncoderView Encoder, Tensor? Mask, Tensor? Positions, Tensor? Embeddings);

/// <summary>DeBERTa's attention (He et al. 2020, arXiv:2006.03654): contents and relative positions are compared apart from each other.</summary>
internal sealed class DisentangledSelfAttention : Module<Tensor, DebertaV2View, Tensor>
{
    private readonly Linear query_proj, key_proj, value_proj;
    private readonly Linear? pos_key_proj, pos_query_proj;
    private readonly DebertaV2Config _config;
    private readonly bool _contentToPosition, _positionToContent;

    public DisentangledSelfAttention(DebertaV2Config config) : base(nameof(DisentangledSelfAttention))
    {
        _config = config;
        (_contentToPosition, _positionToContent) = (config.PositionAttention.Contains(DebertaV2Config.ContentToPosition), config.PositionAttention.Contains(DebertaV2Config.PositionToContent));
        (query_proj, key_proj, value_proj) = (Project(), Project(), Project());
        if (config.RelativeAttention && !config.ShareAttKey && _contentToPosition)
            pos_key_proj = Project();
        if (config.RelativeAttention && !config.ShareAttKey && _positionToContent)
            pos_query_proj = Project();
        RegisterComponents();

        Linear Project() => new(config.HiddenSize, config.HiddenSize);
    }

    public override Tensor forward(Tensor hidden, DebertaV2View view)
    {
        // The scores are a sum of up to three products, and the scale counts them: √(head · terms), of which the kernel brings √head.
        var scale = 1 / Math.Sqrt(1 + (_contentToPosition ? 1 : 0) + (_positionToContent ? 1 : 0));
        Tensor query = Rows(query_proj) * scale, key = Rows(key_proj), value = Rows(value_proj); // [batch, heads, seq, head]
        var bias = view.Positions is null ? null : RelativeScores(query, key * scale, view);
        if (view.Mask is { } mask)
            bias = (bias ?? zeros([], query.dtype, query.device)).masked_fill(mask.logical_not(), finfo(query.dtype).min);
        var context = Attention.ScaledDotProduct(query, key, value, bias, training ? _config.AttentionProbsDropoutProb : 0);
        return view.Encoder.Tokens(context.transpose(1, 2).flatten(2));

        Tensor Rows(Linear projection) => Split(view.Encoder.Rows(projection.call(hidden)));
    }

    /// <summary>Content to position and position to content, <c>[batch, heads, seq, seq]</c>, divided by √head as the kernel divides contents.</summary>
    private Tensor RelativeScores(Tensor query, Tensor key, DebertaV2View view)
    {
        var embeddings = FastDropout.Of(view.Embeddings!, _config.HiddenDropoutProb, training).unsqueeze(0); // [1, 2 · span, hidden]
        var (span, seq) = (_config.Span, query.size(2));
        var scores = zeros([], query.dtype, query.device);
        if (_contentToPosition)
        {
            var positions = Split((pos_key_proj ?? key_proj).call(embeddings)); // [1, heads, 2 · span, head]
            scores = scores + Gather(query, positions, view.Positions!);
        }
        if (_positionToContent)
        {
            var positions = Split((pos_query_proj ?? query_proj).call(embeddings));
            scores = scores + Gather(key, positions, -view.Positions!).transpose(-1, -2);
        }
        return scores / Math.Sqrt(query.size(-1));

        Tensor Gather(Tensor content, Tensor positions, Tensor buckets) => content.matmul(positions.transpose(-1, -2)) // [batch, heads, seq, 2 · span]
            .gather(-1, (buckets + span).clamp(0, 2 * span - 1).expand(content.size(0), content.size(1), seq, seq));
    }

    private Tensor Split(Tensor hidden) => hidden.unflatten(2, _config.NumAttentionHeads, -1).transpose(1, 2);
}
